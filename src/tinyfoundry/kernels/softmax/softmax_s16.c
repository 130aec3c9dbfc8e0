/*
op = "softmax"
types = { x = "int16", y = "int16" }
summary = "softmax over the last dimension by tables of exp(x) and 1 / (1 + x), plain C"
*/
#include "tinyfoundry_curve.h"
#include "tinyfoundry_fixed.h"

/* x and y are [rows][depth] and may be the same; y holds the exponentials, in Q0.15, before they are divided. */
static inline void softmax_s16(const int16_t *x, int16_t *y, const int16_t *exponentials,
                               const int16_t *reciprocals, int rows, int depth, int32_t multiplier, int shift)
{
    for (int row = 0; row < rows; ++row) {
        const int16_t *const from = x + row * depth;
        int16_t *const to = y + row * depth;
        int32_t largest = INT16_MIN;
        for (int i = 0; i < depth; ++i) {
            largest = from[i] > largest ? from[i] : largest;
        }
        int32_t sum = 0;
        for (int i = 0; i < depth; ++i) {
            const int32_t place = tf_requantize(from[i] - largest, multiplier, shift) + INT16_MAX;
            to[i] = tf_on_curve((int16_t)tf_clamp(place, INT16_MIN, INT16_MAX), exponentials);
            sum += to[i];
        }
        /* In units of its highest bit the sum is 1 + f, and f leads to 1 / (1 + f). */
        int headroom = 0;
        for (uint32_t bits = (uint32_t)sum; bits < (uint32_t)1 << 31; bits <<= 1) {
            ++headroom;
        }
        const uint32_t one_and_f = (((uint32_t)sum << (headroom - 1)) + (1 << 13)) >> 14;
        const int32_t place = (int32_t)one_and_f - (1 << 15) - (1 << 16);
        const int32_t factor = tf_on_curve((int16_t)tf_clamp(place, INT16_MIN, INT16_MAX), reciprocals);
        const int right = 31 - headroom;
        for (int i = 0; i < depth; ++i) {
            to[i] = (int16_t)tf_clamp((to[i] * factor + (1 << (right - 1))) >> right, 0, INT16_MAX);
        }
    }
}
