/*
op = "copy"
types = { x = "element", y = "element" }
summary = "elements at even distances, in up to four nested loops, plain C"
*/
#include <stdint.h>

/* Output y[size_0][size_1][size_2][size_3], written in order; the input moves by its steps: negative ones go
 * backwards, 0 repeats. */
static inline void copy_sN(const element_t *x, element_t *y, int x_start, int size_0, int size_1, int size_2,
                           int size_3, int x_step_0, int x_step_1, int x_step_2, int x_step_3)
{
    for (int i = 0; i < size_0; ++i) {
        for (int j = 0; j < size_1; ++j) {
            for (int k = 0; k < size_2; ++k) {
                const element_t *const from = x + x_start + i * x_step_0 + j * x_step_1 + k * x_step_2;
                for (int l = 0; l < size_3; ++l) {
                    *y++ = from[l * x_step_3];
                }
            }
        }
    }
}
