// The fused kernels of the CuPy backend; each computes what the Backend method of the same name says.
//
// Codes x are whole and contiguous, (N, K, H, W); a launch works on maps k0 .. k0+k of all samples.
// g has the shape (N, k, H, W) and its own strides, since it may be cropped from a padded grid.
// Blocks walk over rows, threads over columns. Sums are left as one partial sum a block, which the
// caller adds up in a fixed order: atomics would make results differ from run to run.

struct Layout {
    long long samples, maps, height, width;  // N, k, H, W of the launch
    long long all_maps, first_map;           // K and k0 in x
    long long g_sample, g_map, g_row;        // strides of g in elements
};

__device__ inline Layout unpack(const long long* p) {
    return Layout{p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8]};
}

template <typename T>
__device__ inline T shrink(T v, T t) {
    T high = v - t, low = v + t;
    return (high > T(0) ? high : T(0)) + (low < T(0) ? low : T(0));
}

// Offsets of a row in x and g, and its map among all maps.
__device__ inline void locate(const Layout& l, long long row, long long& x, long long& g,
                              long long& map, long long& i) {
    i = row % l.height;
    long long nk = row / l.height;
    long long k = nk % l.maps, n = nk / l.maps;
    map = l.first_map + k;
    x = ((n * l.all_maps + map) * l.height + i) * l.width;
    g = n * l.g_sample + k * l.g_map + i * l.g_row;
}

// Sum over a block of at most 1024 threads; the result is valid in thread 0.
__device__ inline double block_sum(double value) {
    __shared__ double partial[32];
    for (int offset = 16; offset > 0; offset >>= 1)
        value += __shfl_down_sync(0xffffffffu, value, offset);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    __syncthreads();  // the last sum may still be read
    if (lane == 0) partial[warp] = value;
    __syncthreads();
    int warps = (blockDim.x + 31) >> 5;
    value = threadIdx.x < warps ? partial[threadIdx.x] : 0.0;
    if (warp == 0)
        for (int offset = 16; offset > 0; offset >>= 1)
            value += __shfl_down_sync(0xffffffffu, value, offset);
    return value;
}

template <typename T>
__global__ void ista_update(T* x, T* g, const long long* layout, T step, const T* thresholds) {
    Layout l = unpack(layout);
    long long rows = l.samples * l.maps * l.height, xo, go, map, i;
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        locate(l, row, xo, go, map, i);
        T t = thresholds[map];
        for (long long j = threadIdx.x; j < l.width; j += blockDim.x) {
            T value = shrink(x[xo + j] + step * g[go + j], t);
            x[xo + j] = value;
            g[go + j] = value;
        }
    }
}

template <typename T>
__global__ void fista_update(const T* x, T* previous, T* g, const long long* layout, T step,
                             const T* thresholds, const T* beta_pointer, double* sums) {
    Layout l = unpack(layout);
    T beta = *beta_pointer;  // stays on the device: the host never waits for the restart test
    long long rows = l.samples * l.maps * l.height, xo, go, map, i;
    double uphill = 0.0;
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        locate(l, row, xo, go, map, i);
        T t = thresholds[map];
        for (long long j = threadIdx.x; j < l.width; j += blockDim.x) {
            T old = x[xo + j];
            T point = old + beta * (old - previous[xo + j]);
            T value = shrink(point + step * g[go + j], t);
            uphill += double((point - value) * (value - old));
            previous[xo + j] = value;
            g[go + j] = value;
        }
    }
    uphill = block_sum(uphill);
    if (threadIdx.x == 0) sums[blockIdx.x] = uphill;
}

// penalty may be null; sums may be null, else 5 numbers a block.
template <typename T>
__global__ void admm_update(T* v, T* g, const long long* layout, const T* thresholds,
                            const T* penalty, T alpha, double* sums) {
    Layout l = unpack(layout);
    long long rows = l.samples * l.maps * l.height, xo, go, map, i;
    double s[5] = {0, 0, 0, 0, 0};
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        locate(l, row, xo, go, map, i);
        T t = thresholds[map];
        for (long long j = threadIdx.x; j < l.width; j += blockDim.x) {
            T tj = penalty ? t * penalty[i * l.width + j] : t;
            T old = v[xo + j], correction = g[go + j];
            T y = shrink(old, tj), u = old - y;
            T a = y - u + correction;
            T value = y + (T(1) - alpha) * u + alpha * correction;
            T y_new = shrink(value, tj), u_new = value - y_new;
            v[xo + j] = value;
            g[go + j] = y_new - u_new;
            if (sums) {
                s[0] += double((a - y_new) * (a - y_new));
                s[1] += double((y_new - y) * (y_new - y));
                s[2] += double(a * a);
                s[3] += double(y_new * y_new);
                s[4] += double(u_new * u_new);
            }
        }
    }
    if (!sums) return;
    for (int q = 0; q < 5; ++q) {
        double total = block_sum(s[q]);
        if (threadIdx.x == 0) sums[5 * blockIdx.x + q] = total;
    }
}

// Complex numbers as pairs of T. out[n,k,f] = sum_c conj(F[k,c,f]) S[n,c,f];
// size = {N, K, C, F, stride of a sample of S in complex numbers}.
template <typename T>
__global__ void analyse_spectra(const T* filters, const T* signal, T* out, const long long* size) {
    long long maps = size[1], channels = size[2], bins = size[3], sample = size[4];
    long long total = size[0] * maps * bins;
    for (long long q = blockIdx.x * (long long)blockDim.x + threadIdx.x; q < total;
         q += (long long)gridDim.x * blockDim.x) {
        long long f = q % bins, nk = q / bins, k = nk % maps, n = nk / maps;
        T re = 0, im = 0;
        for (long long c = 0; c < channels; ++c) {
            const T* a = filters + 2 * ((k * channels + c) * bins + f);
            const T* b = signal + 2 * (n * sample + c * bins + f);
            re += a[0] * b[0] + a[1] * b[1];
            im += a[0] * b[1] - a[1] * b[0];
        }
        out[2 * q] = re;
        out[2 * q + 1] = im;
    }
}

// out[n,c,f] += sum_k F[k,c,f] A[n,k,f]. Blocks of 32 frequencies by 8 lanes that share the maps.
// size = {N, K, C, F, stride of a sample of out in complex numbers}; blockIdx.y is n * C + c.
template <typename T>
__global__ void synthesise_spectra(const T* filters, const T* maps_spectra, T* out,
                                   const long long* size) {
    __shared__ double re_part[8][33], im_part[8][33];
    long long maps = size[1], channels = size[2], bins = size[3], sample = size[4];
    long long f = blockIdx.x * 32LL + threadIdx.x;
    long long n = blockIdx.y / channels, c = blockIdx.y % channels;
    double re = 0, im = 0;
    if (f < bins)
        for (long long k = threadIdx.y; k < maps; k += 8) {
            const T* a = filters + 2 * ((k * channels + c) * bins + f);
            const T* b = maps_spectra + 2 * ((n * maps + k) * bins + f);
            re += double(a[0] * b[0] - a[1] * b[1]);
            im += double(a[0] * b[1] + a[1] * b[0]);
        }
    re_part[threadIdx.y][threadIdx.x] = re;
    im_part[threadIdx.y][threadIdx.x] = im;
    __syncthreads();
    if (threadIdx.y == 0 && f < bins) {
        for (int lane = 1; lane < 8; ++lane) {
            re += re_part[lane][threadIdx.x];
            im += im_part[lane][threadIdx.x];
        }
        T* target = out + 2 * (n * sample + c * bins + f);
        target[0] += T(re);
        target[1] += T(im);
    }
}
