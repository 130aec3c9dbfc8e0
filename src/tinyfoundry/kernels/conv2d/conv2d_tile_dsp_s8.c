/*
op = "conv2d"
types = { x = "int8", w = "int8", b = "int32", y = "int8" }
summary = "2-D convolution in tiles of 4 pixels and 2 output channels, for the DSP extension"
isa = ["dsp"]
when = "batch * out_h * out_w >= 4 and out_c <= 1360 and tile_pairs < 16384 and tile_exact"
scratch = "16 * tile_pairs + kernel_w * in_c"
*/
#include "tinyfoundry_tile.h"

/* One pixel's window as words of pairs, four words apart; row holds one row of a window at the image's border. */
static inline void conv2d_tile_dsp_s8_gather(const int8_t *image, int8_t *row, uint32_t *to, int top, int left,
                                             int in_h, int in_w, int in_c, int kernel_h, int kernel_w,
                                             int dilation_h, int dilation_w, int x_zero_point)
{
    for (int ky = 0; ky < kernel_h; ++ky) {
        const int iy = top + ky * dilation_h;
        const int8_t *const line = image + iy * in_w * in_c;
        if (dilation_w == 1 && iy >= 0 && iy < in_h && left >= 0 && left + kernel_w <= in_w) {
            to = tf_tile_widen(line + left * in_c, kernel_w * in_c, to, 4);
            continue;
        }
        for (int kx = 0; kx < kernel_w; ++kx) {
            const int ix = left + kx * dilation_w;
            const int inside = iy >= 0 && iy < in_h && ix >= 0 && ix < in_w;
            for (int c = 0; c < in_c; ++c) {
                row[kx * in_c + c] = inside ? line[ix * in_c + c] : (int8_t)x_zero_point;
            }
        }
        to = tf_tile_widen(row, kernel_w * in_c, to, 4);
    }
}

/* Input x[batch][in_h][in_w][in_c], output y[batch][out_h][out_w][out_c]. The last tile may overlap the one
 * before it. */
static inline void conv2d_tile_dsp_s8(const int8_t *x, const int32_t *tile_stream,
                                      int8_t *y, int8_t *scratch, int batch, int in_h, int in_w, int in_c,
                                      int out_h, int out_w, int out_c, int kernel_h, int kernel_w, int stride_h,
                                      int stride_w, int dilation_h, int dilation_w, int pad_top, int pad_left,
                                      int tile_pairs, int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    uint32_t *const columns = (uint32_t *)(void *)scratch;
    int8_t *const row = scratch + 16 * tile_pairs;
    const int pixels = batch * out_h * out_w, plain = y_zero_point == -128 && y_min == -128;
    for (int pixel = 0; pixel < pixels; pixel += 4) {
        if (pixel > pixels - 4) {
            pixel = pixels - 4;
        }
        for (int p = 0; p < 4; ++p) {
            if (kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && pad_top == 0 && pad_left == 0) {
                tf_tile_widen(x + (pixel + p) * in_c, in_c, columns + p, 4);
                continue;
            }
            const int oy = (pixel + p) / out_w % out_h, ox = (pixel + p) % out_w;
            const int8_t *const image = x + (pixel + p) / (out_h * out_w) * (in_h * in_w * in_c);
            conv2d_tile_dsp_s8_gather(image, row, columns + p, oy * stride_h - pad_top, ox * stride_w - pad_left,
                                      in_h, in_w, in_c, kernel_h, kernel_w, dilation_h, dilation_w, x_zero_point);
        }
        int8_t *const out = y + pixel * out_c;
        const uint32_t *const stream = (const uint32_t *)tile_stream;
        if (out_c > 1) {
            tf_tile_channels(stream, columns, out, tile_pairs, out_c / 2 * 2, out_c, 0, plain, y_min, y_max);
        }
        if (out_c % 2) {
            tf_tile_channels(stream + out_c / 2 * (TF_TILE_TERMS + tile_pairs), columns, out + out_c - 1, tile_pairs, 1,
                             out_c, 1, plain, y_min, y_max);
        }
    }
}
