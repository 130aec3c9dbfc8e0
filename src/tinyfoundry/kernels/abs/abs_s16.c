/*
op = "abs"
types = { x = "int16", y = "int16" }
summary = "magnitude with requantisation, plain C"
*/
#include "tinyfoundry_fixed.h"

/* y may be x: element i is written after it is read. */
static inline void abs_s16(const int16_t *x, int16_t *y, int32_t multiplier, int shift, int elements)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t magnitude = x[i] < 0 ? -x[i] : x[i];
        y[i] = (int16_t)tf_clamp(tf_requantize(magnitude, multiplier, shift), INT16_MIN, INT16_MAX);
    }
}
