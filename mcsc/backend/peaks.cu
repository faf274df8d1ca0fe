// Largest ratios |g_k| / lam_k of correlations g that are never written: each is computed in float32
// with a bound on its rounding, and in T where that says that the largest of all may lie there.
// Appended to kernels.cu.
//
// Images are (N, C, H, W); beyond their edges there is zero, or the other side. Maxima are joined by
// atomics: unlike sums they do not depend on an order. Of numbers >= 0 the bits are in the same
// order, and NaN's are above them all.

struct Grid {
    int channels, height, width, origin, periodic;
};

// What image n has at row i, column j, which may be up to a filter's size outside.
template <typename T>
__device__ inline T pixel(const Grid& l, const T* plane, int i, int j) {
    if (l.periodic) {
        i += i < 0 ? l.height : i >= l.height ? -l.height : 0;
        j += j < 0 ? l.width : j >= l.width ? -l.width : 0;
    }
    // A tile may reach further than any filter at a pixel of the image.
    return i >= 0 && i < l.height && j >= 0 && j < l.width ? plane[(long long)i * l.width + j]
                                                           : T(0);
}

__device__ inline double larger(double a, double b) { return a != a || a > b ? a : b; }

__device__ inline void raise_to(double* place, double value) {
    atomicMax((unsigned long long*)place, (unsigned long long)__double_as_longlong(value));
}

// Largest number >= 0 over a block of 256 threads, or NaN; every thread gets it.
__device__ inline double block_largest(double value) {
    __shared__ double partial[8];
    for (int offset = 16; offset > 0; offset >>= 1)
        value = larger(value, __shfl_down_sync(0xffffffffu, value, offset));
    __syncthreads();  // the last result may still be read
    if (thread() % 32 == 0) partial[thread() / 32] = value;
    __syncthreads();
    value = partial[0];
    for (int warp = 1; warp < 8; ++warp) value = larger(value, partial[warp]);
    return value;
}

// A block has a tile of 32 x 32 pixels and `held` fours of maps, from blockIdx.y * held on; a thread
// 4 pixels, one below the other. The tile is divided by a power of two, so that nothing overflows.
// Fours of maps are `table`: where their filters begin, first channel, how many channels. Filters of
// norm one lie channel by channel, column by column; `weights` are what a correlation with one is to
// be multiplied by, over `scale`. `best` gets the largest ratio at every pixel, `error` how wrong it
// may be, `least` what the largest of an image cannot fall below; best and least begin at zero.
template <typename T, int S, int C>
__global__ void __launch_bounds__(256)
rough_peaks(const T* image, Grid l, const float* filters, const int* table, const float* weights,
            T* best, T* error, T* least, int across, int tiles, int fours, int held, T scale,
            T rounding, T tiny) {
    const int SIDE = 32 + S - 1;
    __shared__ float patch[C][SIDE][SIDE];
    int n = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    int top = tile / across * 32, left = tile % across * 32;
    const T* planes = image + (long long)n * C * l.height * l.width;
    auto given = [&](int e) {
        int c = e / (SIDE * SIDE), i = e / SIDE % SIDE, j = e % SIDE;
        return pixel(l, planes + (long long)c * l.height * l.width, top + i - l.origin,
                     left + j - l.origin);
    };
    double largest = 0;
    for (int e = thread(); e < C * SIDE * SIDE; e += 256) largest = larger(fabs(given(e)), largest);
    largest = block_largest(largest);
    bool finite = largest <= 1.7976931348623157e308;  // NaN is not
    int power = finite && largest > 0 ? ilogb(largest) : 0;
    for (int e = thread(); e < C * SIDE * SIDE; e += 256)
        (&patch[0][0][0])[e] = finite ? float(scalbn(given(e), -power)) : 0.0f;
    __syncthreads();

    int i = 4 * threadIdx.y, j = threadIdx.x;
    float most[4] = {}, energy[4] = {};
    for (int c = 0; c < C; ++c)
        for (int m = 0; m < S; ++m)
#pragma unroll
            for (int p = 0; p < S + 3; ++p) {
                float x = patch[c][i + p][j + m];
#pragma unroll
                for (int r = 0; r < 4; ++r)
                    if (p >= r && p < r + S) energy[r] += x * x;
            }
    int last = min((int)blockIdx.y * held + held, fours);
    for (int q = blockIdx.y * held; q < last; ++q) {
        const float4* f = (const float4*)filters + table[3 * q];
        int first = table[3 * q + 1], count = table[3 * q + 2];
        float sum[4][4] = {};
        for (int c = first; c < first + count; ++c)
            for (int m = 0; m < S; ++m, f += S) {
                float x[S + 3];
#pragma unroll
                for (int p = 0; p < S + 3; ++p) x[p] = patch[c][i + p][j + m];
#pragma unroll
                for (int p = 0; p < S; ++p) {
                    float4 t = f[p];
#pragma unroll
                    for (int r = 0; r < 4; ++r) {
                        sum[r][0] += x[p + r] * t.x;
                        sum[r][1] += x[p + r] * t.y;
                        sum[r][2] += x[p + r] * t.z;
                        sum[r][3] += x[p + r] * t.w;
                    }
                }
            }
        float4 w = ((const float4*)weights)[q];
#pragma unroll
        for (int r = 0; r < 4; ++r) {
            float two = fmaxf(fabsf(sum[r][0]) * w.x, fabsf(sum[r][1]) * w.y);
            most[r] = fmaxf(most[r], fmaxf(two, fmaxf(fabsf(sum[r][2]) * w.z,
                                                      fabsf(sum[r][3]) * w.w)));
        }
    }
    double bound = 0;
    for (int r = 0; r < 4; ++r) {
        if (top + i + r >= l.height || left + j >= l.width) continue;
        long long place = ((long long)n * l.height + top + i + r) * l.width + left + j;
        double ratio = scalbn(scale * double(most[r]), power), wrong = 0;
        if (!finite)
            ratio = __longlong_as_double(0x7ff0000000000000LL);
        else if (largest > 0)
            wrong = scalbn(scale * (rounding * sqrt(double(energy[r])) + tiny), power);
        raise_to(best + place, ratio);
        if (blockIdx.y == 0) error[place] = wrong;
        bound = larger(bound, ratio > wrong ? ratio - wrong : 0.0);
    }
    bound = block_largest(bound);
    if (thread() == 0) raise_to(least + n, bound);
}

// A block has a tile of 8 x 32 pixels, four cells. Where best + error reaches `least`, all ratios of
// the pixel are computed in T, a thread a map, and the largest becomes its best. Filters are (taps,
// maps) here; `table` has for every map its first channel and how many. `found` gets the largest of
// each image, from zero, and `cells` that of every cell, (N, H / 8, W / 8).
template <typename T>
__global__ void __launch_bounds__(256)
exact_peaks(const T* image, Grid l, const T* filters, const T* lam, const int* table, const T* best,
            const T* error, const T* least, T* found, T* cells, int across, int tiles, int maps,
            int size) {
    __shared__ double value[256];
    __shared__ bool close[256];
    int n = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    int top = tile / across * 8, left = tile % across * 32;
    int i = top + threadIdx.y, j = left + threadIdx.x;
    bool inside = i < l.height && j < l.width;
    long long place = ((long long)n * l.height + i) * l.width + j;
    double ratio = inside ? best[place] : 0.0, bound = least[n];
    double reach = inside ? ratio + error[place] : 0.0;
    bool finite = bound <= 1.7976931348623157e308;
    value[thread()] = ratio;
    close[thread()] = finite && reach > 0 && reach >= bound;
    __syncthreads();
    double peak = finite ? 0.0 : bound;
    for (int q = 0; q < 256; ++q) {
        if (!close[q]) continue;  // the same for all threads
        double most = 0;
        for (int k = thread(); k < maps; k += 256) {
            const T* f = filters + k;
            T g = 0;
            for (int c = table[2 * k], last = c + table[2 * k + 1]; c < last; ++c) {
                const T* plane = image + ((long long)n * l.channels + c) * l.height * l.width;
                for (int a = 0; a < size; ++a)
                    for (int b = 0; b < size; ++b, f += maps)
                        g += *f * pixel(l, plane, top + q / 32 + a - l.origin,
                                        left + q % 32 + b - l.origin);
            }
            most = larger(fabs(g) / lam[k], most);
        }
        most = block_largest(most);
        peak = larger(most, peak);
        if (thread() == 0) value[q] = most;
    }
    __syncthreads();
    if (thread() == 0) raise_to(found + n, peak);
    if (thread() >= 4) return;
    int row = top / 8, column = left / 8 + thread(), wide = (l.width + 7) / 8;
    if (column >= wide) return;
    double most = 0;
    for (int q = 0; q < 64; ++q) most = larger(value[q / 8 * 32 + 8 * thread() + q % 8], most);
    cells[((long long)n * ((l.height + 7) / 8) + row) * wide + column] = most;
}
