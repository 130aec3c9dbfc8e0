/*
op = "add"
types = { x1 = "element", x2 = "element", y = "element" }
summary = "addition or subtraction with broadcasting, plain C"
*/
#include "tinyfoundry_pairs.h"

/* Differences to the zero points are brought to one scale with some bits of headroom, where x2_multiplier is
 * negative to subtract. y may be an input of the output's shape: an element is written after it is read. */
static inline void add_sN(const element_t *x1, const element_t *x2, element_t *y, const int *size,
                          const int *x1_step, const int *x2_step, int x1_zero_point, int x2_zero_point,
                          int y_zero_point, int32_t x1_multiplier, int x1_shift, int32_t x2_multiplier,
                          int x2_shift, int32_t y_multiplier, int y_shift, int headroom, int y_min,
                          int y_max)
{
    TF_FOR_EACH(row, i, size) {
        const int32_t a = (x1[tf_at(row, i, size, x1_step)] - x1_zero_point) * (1 << headroom);
        const int32_t b = (x2[tf_at(row, i, size, x2_step)] - x2_zero_point) * (1 << headroom);
        const int32_t sum =
            tf_requantize(a, x1_multiplier, x1_shift) + tf_requantize(b, x2_multiplier, x2_shift);
        const int32_t scaled = tf_requantize(sum, y_multiplier, y_shift) + y_zero_point;
        y[row * size[3] + i] = (element_t)tf_clamp(scaled, y_min, y_max);
    }
}
