/*
op = "depthwise_conv2d"
types = { x = "int8", w = "int8", b = "int32", y = "int8" }
summary = "depthwise 3 x 3 convolution of stride 1 or 2 plane by plane, for the DSP extension"
isa = ["dsp"]
when = """
kernel_h == 3 and kernel_w == 3 and stride_h == stride_w and stride_h <= 2 and dilation_h == 1 and dilation_w == 1 and \
depth_multiplier == 1 and in_c % 4 == 0 and out_h >= 2 and out_w >= 2 and plane_line <= 640 and plane_exact"""
scratch = "4 * plane_line * (stride_h * (plane_rows - 1) + 3)"
*/
#include "tinyfoundry_plane.h"

static inline void depthwise_conv2d_plane_dsp_s8_pad(int8_t *to, int count, int x_zero_point)
{
    for (int i = 0; i < count; i += 4) {
        tf_store4(to + i, (uint32_t)(uint8_t)x_zero_point * 0x01010101U);
    }
}

/* Rows first..last of four channels' planes; row 0 is the one above the strip's first window. Padding beside the rows
 * is there already. */
static inline void depthwise_conv2d_plane_dsp_s8_fill(const int8_t *image, int8_t *planes, int first, int last,
                                                      int top, int in_h, int in_w, int in_c, int pad_left,
                                                      int line, int plane, int x_zero_point)
{
    for (int r = first; r <= last; ++r) {
        int8_t *const to = planes + r * line;
        const int iy = top + r;
        if (iy >= 0 && iy < in_h) {
            tf_plane_split(image + iy * in_w * in_c, in_c, in_w, to + pad_left, plane);
            continue;
        }
        for (int c = 0; c < 4; ++c) {
            depthwise_conv2d_plane_dsp_s8_pad(to + c * plane, line, x_zero_point);
        }
    }
}

/* Input x[batch][in_h][in_w][in_c], output y[batch][out_h][out_w][in_c]. Four channels at a time, in strips of
 * plane_rows output rows; the last pair of rows may overlap the one before it. */
static inline void depthwise_conv2d_plane_dsp_s8(const int8_t *x, const int32_t *plane_terms, int8_t *y,
                                                 int8_t *scratch, int batch, int in_h, int in_w, int in_c, int out_h,
                                                 int out_w, int stride_h, int pad_top, int pad_left, int plane_rows,
                                                 int plane_line, int x_zero_point, int y_zero_point, int y_min,
                                                 int y_max)
{
    const int again_rows = 3 - stride_h; /* that a strip shares with the one above it */
    const int plane = plane_line * (stride_h * plane_rows + again_rows), plain = y_zero_point == -128 && y_min == -128;
    depthwise_conv2d_plane_dsp_s8_pad(scratch, 4 * plane, x_zero_point);
    for (int image = 0; image < batch; ++image, x += in_h * in_w * in_c, y += out_h * out_w * in_c) {
        for (int c = 0; c < in_c; c += 4) {
            for (int row = 0; row < out_h; row += plane_rows) {
                const int rows = out_h - row < plane_rows ? out_h - row : plane_rows;
                if (row > 0) { /* the last rows of the strip above are the first of this one */
                    for (int p = 0; p < 4; ++p) {
                        int8_t *const to = scratch + p * plane;
                        for (int i = 0; i < again_rows * plane_line; i += 4) {
                            tf_store4(to + i, tf_load4(to + stride_h * plane_rows * plane_line + i));
                        }
                    }
                }
                depthwise_conv2d_plane_dsp_s8_fill(x + c, scratch, row > 0 ? again_rows : 0,
 stride_h * rows + again_rows - 1, stride_h * row - pad_top, in_h,
                                                   in_w, in_c, pad_left, plane_line, plane, x_zero_point);
                /* An odd last row is computed with the one before it once more. */
                TF_NO_UNROLL
                for (int part = 0; part < 4 * (1 + rows % 2); ++part) {
                    const int p = part & 3, again = part >> 2 ? rows - 2 : 0;
                    tf_plane_3x3(scratch + p * plane + stride_h * again * plane_line, plane_terms + (c + p) * TF_PLANE_TERMS,
                                 y + (row + again) * out_w * in_c + c + p, again ? 1 : rows / 2, stride_h, plane_line, out_w,
                                 in_c, plain, y_min, y_max);
                }
            }
        }
    }
}
