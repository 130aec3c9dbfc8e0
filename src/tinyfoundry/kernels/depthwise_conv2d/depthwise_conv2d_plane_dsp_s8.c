/*
op = "depthwise_conv2d"
types = { x = "int8", w = "int8", b = "int32", y = "int8" }
summary = "depthwise 3 x 3 convolution of stride 1 or 2 plane by plane, for the DSP extension"
isa = ["dsp"]
when = """
kernel_h == 3 and kernel_w == 3 and out_h >= 2 and out_w >= 2 and plane_line <= 640 and in_c <= 4092 and out_w * in_c < 1048576 and stride_h == stride_w and stride_h <= 2 and \
dilation_h == 1 and dilation_w == 1 and depth_multiplier == 1 and in_c % 4 == 0 and plane_exact"""
scratch = "4 * plane_line * (stride_h * (plane_rows - 1) + kernel_h)"
*/
#include "tinyfoundry_plane.h"

/* Input x[batch][in_h][in_w][in_c], output y[batch][out_h][out_w][in_c]. Four channels at a time, in strips of
 * plane_rows output rows. */
static inline void depthwise_conv2d_plane_dsp_s8(const int8_t *x, const int32_t *plane_terms, int8_t *y,
                                                 int8_t *scratch, int batch, int in_h, int in_w, int in_c, int out_h,
                                                 int out_w, int stride_h, int pad_top, int pad_left, int plane_rows,
                                                 int plane_line, int x_zero_point, int y_zero_point, int y_min,
                                                 int y_max)
{
    const int shared = 3 - stride_h; /* rows of two strips */
    const int plane = stride_h * plane_rows + shared, plain = y_zero_point == -128 && y_min == -128;
    tf_plane_pad(scratch, 4 * plane * plane_line, x_zero_point);
    for (int image = 0; image < batch; ++image, x += in_h * in_w * in_c, y += out_h * out_w * in_c) {
        for (int c = 0; c < in_c; c += 4) {
            for (int row = 0; row < out_h; row += plane_rows) {
                const int rows = out_h - row < plane_rows ? out_h - row : plane_rows;
                tf_plane_fill(x + c, scratch, stride_h * rows + shared, row > 0 ? shared : 0, plane,
                              stride_h * row - pad_top, in_h, in_w, in_c, pad_left, plane_line, x_zero_point);
                /* An odd last row is computed with the one before it once more. */
                TF_NO_UNROLL
                for (int part = 0; part < 4 * (1 + rows % 2); ++part) {
                    const int p = part & 3, again = part >> 2 ? rows - 2 : 0;
                    tf_plane_3x3(scratch + (p * plane + stride_h * again) * plane_line,
                                 plane_terms + (c + p) * TF_PLANE_TERMS, y + (row + again) * out_w * in_c + c + p,
                                 again ? 1 : rows / 2, stride_h, plane_line, out_w, in_c, plain, y_min, y_max);
                }
            }
        }
    }
}
