/*
op = "quantize"
types = { x = "int8", y = "int16" }
summary = "int8 to int16, plain C"
*/
#include "tinyfoundry_fixed.h"

static inline void quantize_s8_s16(const int8_t *x, int16_t *y, int elements, int32_t multiplier, int shift,
                                   int x_zero_point)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t scaled = tf_requantize(x[i] - x_zero_point, multiplier, shift);
        y[i] = (int16_t)tf_clamp(scaled, INT16_MIN, INT16_MAX);
    }
}
