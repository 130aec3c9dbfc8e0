/*
op = "dense"
types = { x = "element", w = "int8", b = "bias", y = "element" }
summary = "fully connected layer, plain C"
*/
#include "tinyfoundry_dot.h"
#include "tinyfoundry_fixed.h"

/* Input x[batch][in_c], weights w[out_c][in_c], output y[batch][out_c]. */
static inline void dense_sN(const element_t *x, const int8_t *w, const bias_t *b, element_t *y,
                            const int32_t *multiplier, const int8_t *shift, int batch, int in_c, int out_c,
                            int x_zero_point, int y_zero_point, int y_min, int y_max)
{
    for (int n = 0; n < batch; ++n) {
        for (int oc = 0; oc < out_c; ++oc) {
            const element_t *const xs = x + n * in_c;
            const int8_t *const ws = w + oc * in_c;
            sum_t acc = b[oc];
            TF_DOT_sN(acc, xs, ws, in_c, x_zero_point);
            const int32_t scaled = tf_requantize_sum(acc, multiplier[oc], shift[oc]) + y_zero_point;
            y[n * out_c + oc] = (element_t)tf_clamp(scaled, y_min, y_max);
        }
    }
}
