/*
op = "depthwise_conv2d"
types = { x = "element", w = "int8", b = "sum", y = "element" }
summary = "depthwise 2-D convolution, plain C, any window and depth multiplier"
*/
#include "tinyfoundry_fixed.h"

/* Input x[batch][in_h][in_w][in_c], weights w[kernel_h][kernel_w][out_c],
 * output y[batch][out_h][out_w][out_c]; output channel oc reads input channel oc / depth_multiplier. */
static inline void depthwise_conv2d_sN(const element_t *x, const int8_t *w, const sum_t *b, element_t *y,
                                       const int32_t *multiplier, const int8_t *shift, int batch, int in_h,
                                       int in_w, int in_c, int out_h, int out_w, int out_c, int kernel_h,
                                       int kernel_w, int depth_multiplier, int stride_h, int stride_w,
                                       int dilation_h, int dilation_w, int pad_top, int pad_left,
                                       int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int row = 0; row < batch * out_h; ++row) {
        const element_t *const image = x + row / out_h * (in_h * in_w * in_c);
        const int top = row % out_h * stride_h - pad_top;
        for (int ox = 0; ox < out_w; ++ox) {
            const int left = ox * stride_w - pad_left;
            for (int oc = 0; oc < out_c; ++oc) {
                sum_t acc = b[oc];
                for (int ky = 0; ky < kernel_h; ++ky) {
                    const int iy = top + ky * dilation_h;
                    if (iy < 0 || iy >= in_h) {
                        continue; /* padding holds the zero point, which contributes nothing */
                    }
                    for (int kx = 0; kx < kernel_w; ++kx) {
                        const int ix = left + kx * dilation_w;
                        if (ix < 0 || ix >= in_w) {
                            continue;
                        }
                        const int32_t value = image[(iy * in_w + ix) * in_c + oc / depth_multiplier];
                        acc += (value - x_zero_point) * w[(ky * kernel_w + kx) * out_c + oc];
                    }
                }
                const int32_t scaled = tf_requantize_sum(acc, multiplier[oc], shift[oc]) + y_zero_point;
                y[(row * out_w + ox) * out_c + oc] = (element_t)tf_clamp(scaled, y_min, y_max);
            }
        }
    }
}
