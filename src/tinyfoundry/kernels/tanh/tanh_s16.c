/*
op = "tanh"
types = { x = "int16", y = "int16" }
summary = "hyperbolic tangent as 2 * sigmoid(2x) - 1, by the table of the sigmoid, plain C"
*/
#include "tinyfoundry_curve.h"

/* y may be x: element i is written after it is read. */
static inline void tanh_s16(const int16_t *x, int16_t *y, const uint16_t *sigmoid, int32_t multiplier, int shift,
                            int elements)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t place = tf_sigmoid_place(x[i], multiplier, shift);
        const int32_t value = tf_on_sigmoid(place, 8, 0xFFFF, sigmoid) - (1 << 23);
        y[i] = (int16_t)((place >= 0 ? value + (1 << 7) : -value + (1 << 7) - 1) >> 8);
    }
}
