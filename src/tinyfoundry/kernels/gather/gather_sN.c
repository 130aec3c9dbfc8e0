/*
op = "gather"
types = { x = "element", y = "element" }
summary = "slices along one axis by a table of indices, plain C"
*/
#include <stdint.h>

/* Input x[outer][size][inner], output y[outer][count][inner]. */
static inline void gather_sN(const element_t *x, element_t *y, const int32_t *indices, int count, int outer,
                             int size, int inner)
{
    for (int i = 0; i < outer; ++i) {
        for (int j = 0; j < count; ++j) {
            const element_t *const from = x + (i * size + indices[j]) * inner;
            for (int k = 0; k < inner; ++k) {
                *y++ = from[k];
            }
        }
    }
}
