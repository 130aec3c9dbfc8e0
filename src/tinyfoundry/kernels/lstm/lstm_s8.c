/*
op = "lstm"
types = { x = "int8", wx = "int8", wh = "int8", b = "int32", h = "int8", c = "int16", y = "int8", c_next = "int16" }
summary = "long short-term memory over a sequence, plain C"
*/
#include "tinyfoundry_gates.h"

/* The sum that a gate of one unit sees, in Q3.12: weights wx[in_c] with the input, wh[units] with the output before. */
static inline int32_t tf_lstm_gate(const int8_t *x, const int8_t *wx, int in_c, int x_zero_point, const int8_t *h,
                                   const int8_t *wh, int units, int h_zero_point, int32_t bias,
                                   int32_t x_multiplier, int x_shift, int32_t h_multiplier, int h_shift)
{
    int32_t from_x = bias, from_h = 0;
    for (int i = 0; i < in_c; ++i) {
        from_x += (x[i] - x_zero_point) * wx[i];
    }
    for (int i = 0; i < units; ++i) {
        from_h += (h[i] - h_zero_point) * wh[i];
    }
    const int32_t sum = tf_clamp16(tf_requantize(from_x, x_multiplier, x_shift));
    return tf_clamp16(sum + tf_requantize(from_h, h_multiplier, h_shift));
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
                int32_t gate[4];
                for (int k = 0; k < 4; ++k) {
                    const int row = k * units + u;
                    gate[k] = tf_lstm_gate(xs, wx + row * in_c, in_c, x_zero_point, before, wh + row * units,
                                           units, h_zero_point, b[row], x_multiplier[k], x_shift[k],
                                           h_multiplier[k], h_shift[k]);
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
