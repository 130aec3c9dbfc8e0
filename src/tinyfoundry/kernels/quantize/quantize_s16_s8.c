/*
op = "quantize"
types = { x = "int16", y = "int8" }
summary = "int16 to int8, plain C"
*/
#include "tinyfoundry_fixed.h"

static inline void quantize_s16_s8(const int16_t *x, int8_t *y, int elements, int32_t multiplier, int shift,
                                   int y_zero_point)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t scaled = tf_requantize(x[i], multiplier, shift) + y_zero_point;
        y[i] = (int8_t)tf_clamp(scaled, INT8_MIN, INT8_MAX);
    }
}
