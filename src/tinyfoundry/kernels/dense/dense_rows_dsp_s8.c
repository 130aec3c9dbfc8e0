/*
op = "dense"
types = { x = "int8", w = "int8", b = "int32", y = "int8" }
summary = "fully connected layer, eight outputs at a time, for the DSP extension"
isa = ["dsp"]
when = "tile_exact"
scratch = "4 * rows_pairs"
*/
#include "tinyfoundry_rows.h"
#include "tinyfoundry_tile.h"

/* Input x[batch][in_c], output y[batch][out_c]. */
static inline void dense_rows_dsp_s8(const int8_t *x, const int32_t *rows_weights, const int32_t *rows_terms,
                                     int8_t *y, int8_t *scratch, int batch, int in_c, int out_c, int rows_pairs,
                                     int y_zero_point, int y_min, int y_max)
{
    uint32_t *const wide = (uint32_t *)(void *)scratch;
    const int plain = y_zero_point == -128 && y_min == -128;
    for (int n = 0; n < batch; ++n, x += in_c, y += out_c) {
        for (uint32_t *rest = tf_tile_widen(x, in_c, wide, 1); rest < wide + rows_pairs; ++rest) {
            *rest = 0;
        }
        const uint32_t *w = (const uint32_t *)rows_weights;
        const int32_t *terms = rows_terms;
        for (int oc = 0; oc < out_c; oc += 8) {
            int32_t sums[8];
            w = tf_rows_sum(w, wide, rows_pairs, terms, sums);
            for (int i = 0; i < 8 && oc + i < out_c; i += 2, terms += TF_TILE_TERMS) {
                y[oc + i] = tf_tile_out(sums[i + 1] * 2, terms + 2, plain, y_min, y_max);
                if (oc + i + 1 < out_c) {
                    y[oc + i + 1] = tf_tile_out(tf_tile_high(sums[i], sums[i + 1]), terms + 5, plain, y_min, y_max);
                }
            }
        }
    }
}
