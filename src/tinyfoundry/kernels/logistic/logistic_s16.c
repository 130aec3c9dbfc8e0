/*
op = "logistic"
types = { x = "int16", y = "int16" }
summary = "logistic by a table of 256 entries and straight lines between, plain C"
*/
#include "tinyfoundry_curve.h"

/* y may be x: element i is written after it is read. */
static inline void logistic_s16(const int16_t *x, int16_t *y, const uint16_t *sigmoid, int32_t multiplier,
                                int shift, int elements)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t place = tf_sigmoid_place(x[i], multiplier, shift);
        const int32_t value = tf_on_sigmoid(place, 9, 0xFFFE, sigmoid);
        y[i] = (int16_t)((place >= 0 ? value + (1 << 9) : (1 << 25) - value + (1 << 9) - 1) >> 10);
    }
}
