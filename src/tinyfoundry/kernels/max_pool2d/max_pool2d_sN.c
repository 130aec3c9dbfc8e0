/*
op = "max_pool2d"
types = { x = "element", y = "element" }
summary = "max pooling, plain C, any stride, padding and window size"
*/
#include "tinyfoundry_fixed.h"

/* Input x[batch][in_h][in_w][in_c], output y[batch][out_h][out_w][in_c].
 * Every window holds at least one element of the image. */
static inline void max_pool2d_sN(const element_t *x, element_t *y, int batch, int in_h, int in_w, int in_c,
                                 int out_h, int out_w, int kernel_h, int kernel_w, int stride_h,
                                 int stride_w, int pad_top, int pad_left, int y_min, int y_max)
{
    for (int row = 0; row < batch * out_h; ++row) {
        const element_t *const image = x + row / out_h * (in_h * in_w * in_c);
        const int top = row % out_h * stride_h - pad_top;
        const int y_begin = top > 0 ? top : 0;
        const int y_end = top + kernel_h < in_h ? top + kernel_h : in_h;
        for (int ox = 0; ox < out_w; ++ox) {
            const int left = ox * stride_w - pad_left;
            const int x_begin = left > 0 ? left : 0;
            const int x_end = left + kernel_w < in_w ? left + kernel_w : in_w;
            for (int c = 0; c < in_c; ++c) {
                int32_t largest = ELEMENT_MIN;
                for (int iy = y_begin; iy < y_end; ++iy) {
                    for (int ix = x_begin; ix < x_end; ++ix) {
                        const int32_t value = image[(iy * in_w + ix) * in_c + c];
                        largest = value > largest ? value : largest;
                    }
                }
                y[(row * out_w + ox) * in_c + c] = (element_t)tf_clamp(largest, y_min, y_max);
            }
        }
    }
}
