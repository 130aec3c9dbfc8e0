/*
op = "svdf"
types = { x = "int8", w_feature = "int8", w_time = "int16", b = "int32", state = "int16", y = "int8" }
summary = "rank-restricted filters over time, plain C"
*/
#include "tinyfoundry_fixed.h"

/* Input x[batch][in_c], weights w_feature[units * rank][in_c], w_time[units * rank][memory], state
 * [batch][units * rank][memory], oldest first; y[batch][units]. state_next may be state: it moves towards the front. */
static inline void svdf_s8(const int8_t *x, const int8_t *w_feature, const int16_t *w_time, const int32_t *b,
                           const int16_t *state, int8_t *y, int16_t *state_next, int batch, int in_c, int units,
                           int rank, int memory, int x_zero_point, int feature_multiplier, int feature_shift,
                           int y_zero_point, int y_multiplier, int y_shift, int y_min, int y_max)
{
    for (int n = 0; n < batch; ++n) {
        for (int u = 0; u < units; ++u) {
            uint32_t sum = (uint32_t)b[u]; /* unsigned: it wraps where the runtime's does */
            for (int f = u * rank; f < (u + 1) * rank; ++f) {
                const int16_t *const old = state + (n * units * rank + f) * memory;
                int16_t *const now = state_next + (n * units * rank + f) * memory;
                int32_t feature = 0;
                for (int i = 0; i < in_c; ++i) {
                    feature += (x[n * in_c + i] - x_zero_point) * w_feature[f * in_c + i];
                }
                feature = tf_requantize(feature, feature_multiplier, feature_shift);
                for (int j = 0; j < memory; ++j) {
                    const int32_t value = j + 1 < memory ? old[j + 1] : tf_clamp(feature, INT16_MIN, INT16_MAX);
                    now[j] = (int16_t)value;
                    sum += (uint32_t)(w_time[f * memory + j] * value);
                }
            }
            const int32_t scaled = tf_requantize((int32_t)sum, y_multiplier, y_shift) + y_zero_point;
            y[n * units + u] = (int8_t)tf_clamp(scaled, y_min, y_max);
        }
    }
}
