/*
op = "resize_bilinear"
types = { x = "element", y = "element" }
summary = "means of four neighbours with 10 bits after the point, plain C"
*/
#include <stdint.h>

/* The two neighbours of a place in 1/1024 pixels, and its distance from the first: in the first half pixel,
 * where the two are one, it may be negative. */
static inline void tf_neighbours(int32_t place, int size, int *low, int *high, int32_t *distance)
{
    const int32_t inside = place > 0 ? place : 0;
    *low = (int)(inside >> 10);
    *high = (int)((inside + 1023) >> 10);
    *high = *high < size - 1 ? *high : size - 1;
    *distance = place - *low * 1024;
}

/* Input x[n][in_h][in_w][c], output y[n][out_h][out_w][c]. */
static inline void resize_bilinear_sN(const element_t *x, element_t *y, int n, int in_h, int in_w, int c,
                                      int out_h, int out_w, int32_t row_scale, int32_t column_scale,
                                      int32_t row_start, int32_t column_start)
{
    for (int row = 0; row < n * out_h; ++row) {
        const element_t *const image = x + row / out_h * in_h * in_w * c;
        int top, bottom, left, right;
        int32_t down, across;
        tf_neighbours(row % out_h * row_scale + row_start, in_h, &top, &bottom, &down);
        for (int j = 0; j < out_w; ++j) {
            tf_neighbours(j * column_scale + column_start, in_w, &left, &right, &across);
            const element_t *const from[4] = {
                image + (top * in_w + left) * c, image + (top * in_w + right) * c,
                image + (bottom * in_w + left) * c, image + (bottom * in_w + right) * c};
            const int32_t weights[4] = {(1024 - down) * (1024 - across), (1024 - down) * across,
                                        down * (1024 - across), down * across};
            for (int channel = 0; channel < c; ++channel) {
                sum_t sum = 0;
                for (int corner = 0; corner < 4; ++corner) {
                    sum += (sum_t)weights[corner] * from[corner][channel];
                }
                *y++ = (element_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}
