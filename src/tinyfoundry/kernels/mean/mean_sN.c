/*
op = "mean"
types = { x = "element", y = "element" }
summary = "mean or sum over one or two runs of neighbouring axes, plain C"
*/
#include "tinyfoundry_fixed.h"

/* Input x[kept_0][reduced_0][kept_1][reduced_1][kept_2], output y[kept_0][kept_1][kept_2]. */
static inline void mean_sN(const element_t *x, element_t *y, int kept_0, int reduced_0, int kept_1,
                           int reduced_1, int kept_2, int32_t multiplier, int shift, int x_zero_point,
                           int y_zero_point)
{
    for (int out = 0; out < kept_0 * kept_1 * kept_2; ++out) {
        const int k2 = out % kept_2;
        const int k1 = out / kept_2 % kept_1;
        const int k0 = out / kept_2 / kept_1;
        int32_t sum = 0;
        for (int r0 = 0; r0 < reduced_0; ++r0) {
            for (int r1 = 0; r1 < reduced_1; ++r1) {
                const int at = (((k0 * reduced_0 + r0) * kept_1 + k1) * reduced_1 + r1) * kept_2 + k2;
                sum += x[at] - x_zero_point;
            }
        }
        const int32_t scaled = tf_requantize(sum, multiplier, shift) + y_zero_point;
        y[out] = (element_t)tf_clamp(scaled, ELEMENT_MIN, ELEMENT_MAX);
    }
}
