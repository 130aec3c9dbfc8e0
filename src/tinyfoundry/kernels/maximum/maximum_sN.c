/*
op = "maximum"
types = { x1 = "element", x2 = "element", y = "element" }
summary = "maximum of stored values with broadcasting, plain C"
*/
#include "tinyfoundry_pairs.h"

/* y may be an input of the output's shape: an element is written after it is read. */
static inline void maximum_sN(const element_t *x1, const element_t *x2, element_t *y, const int *size,
                              const int *x1_step, const int *x2_step)
{
    TF_FOR_EACH(row, i, size) {
        const element_t a = x1[tf_at(row, i, size, x1_step)];
        const element_t b = x2[tf_at(row, i, size, x2_step)];
        y[row * size[3] + i] = a > b ? a : b;
    }
}
