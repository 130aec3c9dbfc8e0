/*
op = "relu"
types = { x = "element", y = "element" }
summary = "relu, relu6 or relu_n1_to_1 with requantisation, plain C"
*/
#include "tinyfoundry_fixed.h"

/* y may be x: element i is written after it is read. */
static inline void relu_sN(const element_t *x, element_t *y, int elements, int32_t multiplier, int shift,
                           int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int i = 0; i < elements; ++i) {
        const int32_t scaled = tf_requantize(x[i] - x_zero_point, multiplier, shift) + y_zero_point;
        y[i] = (element_t)tf_clamp(scaled, y_min, y_max);
    }
}
