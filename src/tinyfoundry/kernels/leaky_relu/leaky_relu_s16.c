/*
op = "leaky_relu"
types = { x = "int16", y = "int16" }
summary = "relu with a slope for negative values, plain C"
*/
#include "tinyfoundry_fixed.h"

/* y may be x: element i is written after it is read. */
static inline void leaky_relu_s16(const int16_t *x, int16_t *y, int32_t above_multiplier, int above_shift,
                                  int32_t below_multiplier, int below_shift, int elements)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t scaled = x[i] >= 0 ? tf_requantize(x[i], above_multiplier, above_shift)
                                         : tf_requantize(x[i], below_multiplier, below_shift);
        y[i] = (int16_t)tf_clamp(scaled, INT16_MIN, INT16_MAX);
    }
}
