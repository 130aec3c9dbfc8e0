/*
op = "batch_matmul"
types = { x1 = "element", x2 = "element", y = "element" }
summary = "products of matrices with broadcast batches, plain C, either input transposed"
*/
#include "tinyfoundry_fixed.h"

/* Output y[batch...][rows][columns] in order. The inputs move by their steps, so that a transposed matrix is
 * only one with other steps. */
static inline void batch_matmul_sN(const element_t *x1, const element_t *x2, element_t *y, const int *batch,
                                   const int *x1_step, const int *x2_step, int rows, int columns, int depth,
                                   int x1_row, int x1_term, int x2_column, int x2_term, int32_t multiplier,
                                   int shift, int x1_zero_point, int x2_zero_point, int y_zero_point)
{
    for (int n = 0; n < batch[0] * batch[1] * batch[2]; ++n) {
        const int n0 = n / (batch[1] * batch[2]);
        const int n1 = n / batch[2] % batch[1];
        const int n2 = n % batch[2];
        const element_t *const left = x1 + n0 * x1_step[0] + n1 * x1_step[1] + n2 * x1_step[2];
        const element_t *const right = x2 + n0 * x2_step[0] + n1 * x2_step[1] + n2 * x2_step[2];
        for (int i = 0; i < rows; ++i) {
            for (int j = 0; j < columns; ++j) {
                const element_t *const a = left + i * x1_row;
                const element_t *const b = right + j * x2_column;
                sum_t acc = 0;
                for (int k = 0; k < depth; ++k) {
                    acc += (a[k * x1_term] - x1_zero_point) * (b[k * x2_term] - x2_zero_point);
                }
                const int32_t scaled = tf_requantize_sum(acc, multiplier, shift) + y_zero_point;
                *y++ = (element_t)tf_clamp(scaled, ELEMENT_MIN, ELEMENT_MAX);
            }
        }
    }
}
