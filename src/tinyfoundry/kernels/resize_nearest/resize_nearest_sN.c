/*
op = "resize_nearest"
types = { x = "element", y = "element" }
summary = "nearest neighbours by tables of rows and columns, plain C"
*/
#include <stdint.h>

/* Input x[n][in_h][in_w][c], output y[n][out_h][out_w][c]. */
static inline void resize_nearest_sN(const element_t *x, element_t *y, const int32_t *rows,
                                     const int32_t *columns, int n, int in_h, int in_w, int c, int out_h,
                                     int out_w)
{
    for (int image = 0; image < n; ++image) {
        for (int i = 0; i < out_h; ++i) {
            const element_t *const row = x + (image * in_h + rows[i]) * in_w * c;
            for (int j = 0; j < out_w; ++j) {
                for (int channel = 0; channel < c; ++channel) {
                    *y++ = row[columns[j] * c + channel];
                }
            }
        }
    }
}
