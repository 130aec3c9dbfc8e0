/*
op = "dequantize"
types = { x = "element", y = "float32" }
summary = "int8 or int16 to float32, plain C"
*/
#include <stdint.h>

static inline void dequantize_sN(const element_t *x, float *y, int elements, float scale, int x_zero_point)
{
    for (int i = 0; i < elements; ++i) {
        y[i] = scale * (float)(x[i] - x_zero_point);
    }
}
