/* Written by tinyfoundry from the network 'small'. Changes here do not last. */
#include "small.h"

#include <stddef.h>

#include "small_tables.h"
#include "tinyfoundry_dot.h"
#include "tinyfoundry_fixed.h"

#if defined(__GNUC__)
#define TF_KERNEL static inline __attribute__((always_inline))
#define TF_LAYER static __attribute__((noinline))
#else
#define TF_KERNEL static inline
#define TF_LAYER static
#endif

/* Every activation and scratch buffer; a word type makes it aligned. */
static union {
    int8_t bytes[SMALL_ARENA_BYTES];
    int32_t word;
} small_arena;
static volatile unsigned char small_busy;

/* Input x[batch][in_h][in_w][in_c], weights w[out_c][kernel_h][kernel_w][in_c],
 * output y[batch][out_h][out_w][out_c]. */
TF_KERNEL void conv2d_s8(const int8_t *x, const int8_t *w, const int32_t *b, int8_t *y,
                             const int32_t *multiplier, const int8_t *shift, int batch, int in_h, int in_w,
                             int in_c, int out_h, int out_w, int out_c, int kernel_h, int kernel_w,
                             int stride_h, int stride_w, int dilation_h, int dilation_w, int pad_top,
                             int pad_left, int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int row = 0; row < batch * out_h; ++row) {
        const int8_t *const image = x + row / out_h * (in_h * in_w * in_c);
        const int top = row % out_h * stride_h - pad_top;
        for (int ox = 0; ox < out_w; ++ox) {
            for (int oc = 0; oc < out_c; ++oc) {
                int32_t acc = b[oc];
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
                        const int8_t *const xs = image + (iy * in_w + ix) * in_c;
                        const int8_t *const ws = w + ((oc * kernel_h + ky) * kernel_w + kx) * in_c;
                        TF_DOT_s8(acc, xs, ws, in_c, x_zero_point);
                    }
                }
                const int32_t scaled = tf_requantize(acc, multiplier[oc], shift[oc]) + y_zero_point;
                y[(row * out_w + ox) * out_c + oc] = (int8_t)tf_clamp(scaled, y_min, y_max);
            }
        }
    }
}

/* Input x[batch][in_c], weights w[out_c][in_c], output y[batch][out_c]. */
TF_KERNEL void dense_s8(const int8_t *x, const int8_t *w, const int32_t *b, int8_t *y,
                            const int32_t *multiplier, const int8_t *shift, int batch, int in_c, int out_c,
                            int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int n = 0; n < batch; ++n) {
        for (int oc = 0; oc < out_c; ++oc) {
            const int8_t *const xs = x + n * in_c;
            const int8_t *const ws = w + oc * in_c;
            int32_t acc = b[oc];
            TF_DOT_s8(acc, xs, ws, in_c, x_zero_point);
            const int32_t scaled = tf_requantize(acc, multiplier[oc], shift[oc]) + y_zero_point;
            y[n * out_c + oc] = (int8_t)tf_clamp(scaled, y_min, y_max);
        }
    }
}

/* conv2d: int8[1x4x4x1] scale 0.05 zero -3, int8[1x2x2x2] scale 0.05 zero -3 */
TF_LAYER void small_layer_0_conv(void)
{
    conv2d_s8(
        small_arena.bytes + 0,
        small_table_kernel,
        small_table_bias,
        small_arena.bytes + 16,
        small_table_conv_multiplier,
        small_table_conv_shift,
        /* batch */ 1,
        /* in_h */ 4,
        /* in_w */ 4,
        /* in_c */ 1,
        /* out_h */ 2,
        /* out_w */ 2,
        /* out_c */ 2,
        /* kernel_h */ 3,
        /* kernel_w */ 3,
        /* stride_h */ 2,
        /* stride_w */ 2,
        /* dilation_h */ 1,
        /* dilation_w */ 1,
        /* pad_top */ 0,
        /* pad_left */ 0,
        /* x_zero_point */ -3,
        /* y_zero_point */ -3,
        /* y_min */ -3,
        /* y_max */ 127);
}

/* dense: int8[1x8] scale 0.05 zero -3, int8[1x2] scale 0.05 zero -3 */
TF_LAYER void small_layer_1_scores(void)
{
    dense_s8(
        small_arena.bytes + 16,
        small_table_weights,
        small_table_bias_2,
        small_arena.bytes + 0,
        small_table_scores_multiplier,
        small_table_conv_shift,
        /* batch */ 1,
        /* in_c */ 8,
        /* out_c */ 2,
        /* x_zero_point */ -3,
        /* y_zero_point */ -3,
        /* y_min */ -128,
        /* y_max */ 127);
}

int small_run(void)
{
    if (small_busy) {
        return -1;
    }
    small_busy = 1;
    small_layer_0_conv();
    small_layer_1_scores();
    small_busy = 0;
    return 0;
}

int8_t *small_input(int index)
{
    switch (index) {
    case 0:
        return small_arena.bytes + 0;
    default:
        return NULL;
    }
}

int8_t *small_output(int index)
{
    switch (index) {
    case 0:
        return small_arena.bytes + 0;
    default:
        return NULL;
    }
}
