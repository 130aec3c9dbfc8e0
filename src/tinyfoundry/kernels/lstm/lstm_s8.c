/*
op = "lstm"
types = { x = "int8", wx = "int8", wh = "int8", b = "int32", h = "int8", c = "int16", y = "int8", c_next = "int16" }
summary = "long short-term memory over a sequence, plain C"
*/
#include "tinyfoundry_gates.h"

/* Adds to the sums of the four gates of one unit: weights [4][..] that lie `stride` apart, `size` of each. */
static inline void tf_lstm_add(int32_t *sums, const int8_t *x, const int8_t *w, int size, int stride, int zero_point)
{
    int32_t sum0 = sums[0], sum1 = sums[1], sum2 = sums[2], sum3 = sums[3];
    const int8_t *const w1 = w + stride, *const w2 = w1 + stride, *const w3 = w2 + stride;
    for (int i = 0; i < size; ++i) {
        const int32_t centred = x[i] - zero_point;
        sum0 += centred * w[i];
        sum1 += centred * w1[i];
        sum2 += centred * w2[i];
        sum3 += centred * w3[i];
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* Input x[batch][steps][in_c], weights wx[4][units][in_c], wh[4][units][units], gates in the order input, forget,
 * cell, output; y[batch][steps][units]. A row of y is the output that the next step sees, so h is read in the first
 * step alone and h_next written behind the last; c_next is updated element by element. Both may be h and c. */
static inline void lstm_s8(const int8_t *x, const int8_t *wx, const int8_t *wh, const int32_t *b, const int8_t *h,
                           const int16_t *c, int8_t *y, int8_t *h_next, int16_t *c_next,
                           const int32_t *x_multiplier, const int8_t *x_shift, const int32_t *h_multiplier,
                           const int8_t *h_shift, int batch, int steps, int in_c, int units, int x_zero_point,
                           int h_zero_point, int cell_integer_bits, int cell_min, int cell_max, int y_multiplier,
                           int y_shift)
{
    for (int n = 0; n < batch; ++n) {
        for (int t = 0; t < steps; ++t) {
            const int8_t *const xs = x + (n * steps + t) * in_c;
            int8_t *const ys = y + (n * steps + t) * units;
            const int8_t *const before = t ? ys - units : h + n * units;
            const int16_t *const cells = t ? c_next + n * units : c + n * units;
            for (int u = 0; u < units; ++u) {
                int32_t gate[4] = {b[u], b[units + u], b[2 * units + u], b[3 * units + u]}, from_h[4] = {0, 0, 0, 0};
                tf_lstm_add(gate, xs, wx + u * in_c, in_c, units * in_c, x_zero_point);
                tf_lstm_add(from_h, before, wh + u * units, units, units * units, h_zero_point);
                for (int k = 0; k < 4; ++k) {
                    const int32_t from_x = tf_clamp16(tf_requantize(gate[k], x_multiplier[k], x_shift[k]));
                    gate[k] = tf_clamp16(from_x + tf_requantize(from_h[k], h_multiplier[k], h_shift[k]));
                }
                const int32_t kept = tf_divide_by_pot(tf_logistic16(gate[1]) * cells[u], 15);
                const int32_t added = tf_divide_by_pot(tf_logistic16(gate[0]) * tf_tanh16(gate[2], 3),
                                                       15 + cell_integer_bits);
                const int32_t cell = tf_clamp(tf_clamp16(kept + added), cell_min, cell_max);
                const int32_t shown = tf_logistic16(gate[3]) * tf_tanh16(cell, cell_integer_bits);
                c_next[n * units + u] = (int16_t)cell;
                ys[u] = (int8_t)tf_clamp(tf_requantize(shown, y_multiplier, y_shift) + h_zero_point, -128, 127);
            }
        }
        for (int u = 0; u < units; ++u) {
            h_next[n * units + u] = y[((n + 1) * steps - 1) * units + u];
        }
    }
}
