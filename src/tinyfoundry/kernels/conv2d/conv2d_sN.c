/*
op = "conv2d"
types = { x = "element", w = "int8", b = "bias", y = "element" }
summary = "2-D convolution, plain C, any stride, padding, dilation and kernel size"
*/
#include "tinyfoundry_dot.h"
#include "tinyfoundry_fixed.h"

/* Input x[batch][in_h][in_w][in_c], weights w[out_c][kernel_h][kernel_w][in_c],
 * output y[batch][out_h][out_w][out_c]. */
static inline void conv2d_sN(const element_t *x, const int8_t *w, const bias_t *b, element_t *y,
                             const int32_t *multiplier, const int8_t *shift, int batch, int in_h, int in_w,
                             int in_c, int out_h, int out_w, int out_c, int kernel_h, int kernel_w,
                             int stride_h, int stride_w, int dilation_h, int dilation_w, int pad_top,
                             int pad_left, int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int row = 0; row < batch * out_h; ++row) {
        const element_t *const image = x + row / out_h * (in_h * in_w * in_c);
        const int top = row % out_h * stride_h - pad_top;
        for (int ox = 0; ox < out_w; ++ox) {
            for (int oc = 0; oc < out_c; ++oc) {
                sum_t acc = b[oc];
                for (int ky = 0; ky < kernel_h; ++ky) {
                    const int iy = top + ky * dilation_h;
                    if (iy < 0 || iy >= in_h) {
                        continue; /* padding holds the zero point, which contributes nothing */
                    }
                    for (int kx = 0; kx < kernel_w; ++kx) {
                        const int ix = ox * stride_w - pad_left + kx * dilation_w;
                        if (ix < 0 || ix >= in_w) {
                            continue;
                        }
                        const element_t *const xs = image + (iy * in_w + ix) * in_c;
                        const int8_t *const ws = w + ((oc * kernel_h + ky) * kernel_w + kx) * in_c;
                        TF_DOT_sN(acc, xs, ws, in_c, x_zero_point);
                    }
                }
                const int32_t scaled = tf_requantize_sum(acc, multiplier[oc], shift[oc]) + y_zero_point;
                y[(row * out_w + ox) * out_c + oc] = (element_t)tf_clamp(scaled, y_min, y_max);
            }
        }
    }
}
