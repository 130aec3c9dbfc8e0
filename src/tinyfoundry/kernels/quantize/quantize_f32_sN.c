/*
op = "quantize"
types = { x = "float32", y = "element" }
summary = "float32 to int8 or int16, plain C"
*/
#include "tinyfoundry_fixed.h"

/* Halves are rounded away from zero. What is too large saturates, NaN becomes the zero point. */
static inline void quantize_f32_sN(const float *x, element_t *y, int elements, float scale, int y_zero_point)
{
    for (int i = 0; i < elements; ++i) {
        float steps = x[i] / scale;
        if (steps != steps) {
            steps = 0.0f;
        }
        /* Within these limits, which lie beyond the type for every zero point, the conversion is defined and
         * the fraction below is exact. */
        const float beyond = -4.0f * ELEMENT_MIN;
        steps = steps < -beyond ? -beyond : (steps > beyond ? beyond : steps);
        const int32_t whole = (int32_t)steps;
        const float fraction = steps - (float)whole;
        const int32_t rounded = whole + (fraction >= 0.5f ? 1 : 0) - (fraction <= -0.5f ? 1 : 0);
        y[i] = (element_t)tf_clamp(rounded + y_zero_point, ELEMENT_MIN, ELEMENT_MAX);
    }
}
