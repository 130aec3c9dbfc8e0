/*
op = "conv2d"
types = { x = "int8", w = "int8", b = "int32", y = "int8" }
summary = "2-D convolution in blocks of 2 pixels and 4 output channels, for RISC-V's many registers"
isa = ["rv32"]
when = "batch * out_h * out_w >= 2 and out_c % 4 == 0 and block_exact"
scratch = "2 * kernel_h * kernel_w * in_c"
*/
#include "tinyfoundry_fixed.h"

/* One pixel's window, row after row; padding holds the zero point. */
static inline void conv2d_block_rv32_s8_gather(const int8_t *image, int8_t *to, int top, int left, int in_h, int in_w,
                                          int in_c, int kernel_h, int kernel_w, int dilation_h, int dilation_w,
                                          int x_zero_point)
{
    for (int ky = 0; ky < kernel_h; ++ky) {
        const int iy = top + ky * dilation_h;
        for (int kx = 0; kx < kernel_w; ++kx) {
            const int ix = left + kx * dilation_w;
            const int inside = iy >= 0 && iy < in_h && ix >= 0 && ix < in_w;
            const int8_t *const from = image + (iy * in_w + ix) * in_c;
            for (int c = 0; c < in_c; ++c) {
                *to++ = inside ? from[c] : (int8_t)x_zero_point;
            }
        }
    }
}

/* Input x[batch][in_h][in_w][in_c], weights w[out_c][kernel_h][kernel_w][in_c], output y[batch][out_h][out_w][out_c].
 * block_bias: the bias with what the zero point adds. The last block of pixels may overlap the one before it. */
static inline void conv2d_block_rv32_s8(const int8_t *x, const int8_t *w, const int32_t *block_bias, int8_t *y,
                                   int8_t *scratch, const int32_t *multiplier, const int8_t *shift, int batch,
                                   int in_h, int in_w, int in_c, int out_h, int out_w, int out_c, int kernel_h,
                                   int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
                                   int pad_top, int pad_left, int x_zero_point, int y_zero_point, int y_min,
                                   int y_max)
{
    const int size = kernel_h * kernel_w * in_c, pixels = batch * out_h * out_w;
    const int direct = size == in_c && stride_h == 1 && stride_w == 1 && in_h == out_h && in_w == out_w;
    for (int pixel = 0; pixel < pixels; pixel += 2) {
        pixel = pixel > pixels - 2 ? pixels - 2 : pixel;
        const int8_t *columns = direct ? x + pixel * size : scratch;
        for (int p = 0; p < 2 && !direct; ++p) {
            const int oy = (pixel + p) / out_w % out_h, ox = (pixel + p) % out_w;
            conv2d_block_rv32_s8_gather(x + (pixel + p) / (out_h * out_w) * (in_h * in_w * in_c), scratch + p * size,
                                   oy * stride_h - pad_top, ox * stride_w - pad_left, in_h, in_w, in_c, kernel_h,
                                   kernel_w, dilation_h, dilation_w, x_zero_point);
        }
        for (int oc = 0; oc < out_c; oc += 4) {
            int32_t acc[2][4];
            for (int p = 0; p < 2; ++p) {
                for (int c = 0; c < 4; ++c) {
                    acc[p][c] = block_bias[oc + c];
                }
            }
            for (int i = 0; i < size; ++i) {
                for (int c = 0; c < 4; ++c) {
                    const int32_t weight = w[(oc + c) * size + i];
                    for (int p = 0; p < 2; ++p) {
                        acc[p][c] += columns[p * size + i] * weight;
                    }
                }
            }
            for (int p = 0; p < 2; ++p) {
                for (int c = 0; c < 4; ++c) {
                    const int32_t scaled = tf_requantize(acc[p][c], multiplier[oc + c], shift[oc + c]) + y_zero_point;
                    y[(pixel + p) * out_c + oc + c] = (int8_t)tf_clamp(scaled, y_min, y_max);
                }
            }
        }
    }
}
