/*
op = "mul"
types = { x1 = "element", x2 = "element", y = "element" }
summary = "multiplication with broadcasting, plain C"
*/
#include "tinyfoundry_pairs.h"

/* y may be an input of the output's shape: an element is written after it is read. */
static inline void mul_sN(const element_t *x1, const element_t *x2, element_t *y, const int *size,
                          const int *x1_step, const int *x2_step, int x1_zero_point, int x2_zero_point,
                          int y_zero_point, int32_t y_multiplier, int y_shift, int y_min, int y_max)
{
    TF_FOR_EACH(row, i, size) {
        const int32_t a = x1[tf_at(row, i, size, x1_step)] - x1_zero_point;
        const int32_t b = x2[tf_at(row, i, size, x2_step)] - x2_zero_point;
        const int32_t scaled = tf_requantize(a * b, y_multiplier, y_shift) + y_zero_point;
        y[row * size[3] + i] = (element_t)tf_clamp(scaled, y_min, y_max);
    }
}
