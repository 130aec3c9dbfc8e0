/*
op = "pad"
types = { x = "element", y = "element" }
summary = "padding in up to four dimensions, plain C"
*/
#include <stdint.h>

/* Input x[in_0][in_1][in_2][in_3], output y[out_0][out_1][out_2][out_3]. */
static inline void pad_sN(const element_t *x, element_t *y, int in_0, int in_1, int in_2, int in_3,
                          int out_0, int out_1, int out_2, int out_3, int before_0, int before_1,
                          int before_2, int before_3, int fill)
{
    for (int row = 0; row < out_0 * out_1 * out_2; ++row) {
        const int i = row / (out_1 * out_2) - before_0;
        const int j = row / out_2 % out_1 - before_1;
        const int k = row % out_2 - before_2;
        const int inside = i >= 0 && i < in_0 && j >= 0 && j < in_1 && k >= 0 && k < in_2;
        element_t *const to = y + row * out_3;
        if (!inside) {
            for (int l = 0; l < out_3; ++l) {
                to[l] = (element_t)fill;
            }
            continue;
        }
        const element_t *const from = x + ((i * in_1 + j) * in_2 + k) * in_3;
        for (int l = 0; l < before_3; ++l) {
            to[l] = (element_t)fill;
        }
        for (int l = 0; l < in_3; ++l) {
            to[before_3 + l] = from[l];
        }
        for (int l = before_3 + in_3; l < out_3; ++l) {
            to[l] = (element_t)fill;
        }
    }
}
