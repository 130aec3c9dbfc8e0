/*
op = "reduce_max"
types = { x = "element", y = "element" }
summary = "largest values over one or two runs of neighbouring axes, plain C"
*/
#include <stdint.h>

/* Input x[kept_0][reduced_0][kept_1][reduced_1][kept_2], output y[kept_0][kept_1][kept_2]. */
static inline void reduce_max_sN(const element_t *x, element_t *y, int kept_0, int reduced_0, int kept_1,
                                 int reduced_1, int kept_2)
{
    for (int i = 0; i < kept_0 * kept_1 * kept_2; ++i) {
        y[i] = ELEMENT_MIN;
    }
    /* The input is read in order, and each of its rows meets the row of the output that it belongs to. */
    for (int row = 0; row < kept_0 * reduced_0 * kept_1 * reduced_1; ++row) {
        const int k1 = row / reduced_1 % kept_1;
        const int k0 = row / (reduced_1 * kept_1 * reduced_0);
        element_t *const to = y + (k0 * kept_1 + k1) * kept_2;
        for (int k2 = 0; k2 < kept_2; ++k2) {
            const element_t value = *x++;
            to[k2] = value > to[k2] ? value : to[k2];
        }
    }
}
