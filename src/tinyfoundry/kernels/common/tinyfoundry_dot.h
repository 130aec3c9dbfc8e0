/* Sums of products of n neighbouring values and weights, added to acc. */
#ifndef TINYFOUNDRY_DOT_H
#define TINYFOUNDRY_DOT_H

#include <stdint.h>

#define TF_DOT_s8(acc, x, w, n, x_zero_point)                  \
    for (int term = 0; term < (n); ++term) {                   \
        (acc) += ((x)[term] - (x_zero_point)) * (w)[term];     \
    }

/* The zero point of int16 is 0. */
#define TF_DOT_s16(acc, x, w, n, x_zero_point)                 \
    (void)(x_zero_point);                                      \
    (acc) = tf_dot_s16((acc), (x), (w), (n))

/* 511 products of int16 and int8 values fit an int32, which is faster than 64 bits. */
static inline int64_t tf_dot_s16(int64_t acc, const int16_t *x, const int8_t *w, int n)
{
    for (int begin = 0; begin < n; begin += 511) {
        const int end = begin + 511 < n ? begin + 511 : n;
        int32_t part = 0;
        for (int i = begin; i < end; ++i) {
            part += x[i] * w[i];
        }
        acc += part;
    }
    return acc;
}

#endif
