// The fused kernels of the CuPy backend; each computes what the Backend method of the same name says.
//
// Codes x are whole and contiguous, (N, K, H, W); a launch works on the maps k0 .. k0+k of all
// samples. What lies on the Fourier operator's grid, g, is (N, k, H', W') with H' >= H, W' >= W:
// kernels write zeros beyond the image, so that g can be transformed as it is.
// A block of 256 threads works on some rows of one map. All sizes come by value, in 32 bits; only
// where an array begins is computed in 64. V numbers move at a time, where widths allow it.
// Sums are left as one partial sum a block, which the kernel that needs them adds up in a fixed
// order: atomics would make results differ from run to run.

struct Layout {
    int maps, height, width;       // k, H, W
    int all_maps, first_map;       // K, k0
    int grid_height, grid_width;   // H', W'
    int rows, strips;              // rows of a block, blocks of a map
};

template <typename T, int V>
struct alignas(V * sizeof(T)) Pack {
    T v[V];
};

template <typename T>
struct alignas(2 * sizeof(T)) Complex {
    T re, im;
};

// NaN stays NaN.
template <typename T>
__device__ inline T soft(T v, T t) {
    return v > t ? v - t : v < -t ? v + t : v == v ? T(0) : v;
}

// Where this block works.
struct Strip {
    long long x, g;   // offsets of the map in x and in g
    int map;          // among all maps
    int first, last;  // rows
};

__device__ inline Strip locate(const Layout& l) {
    int strip = blockIdx.x % l.strips, nk = blockIdx.x / l.strips;
    int k = nk % l.maps, n = nk / l.maps;
    Strip s;
    s.map = l.first_map + k;
    s.x = ((long long)n * l.all_maps + s.map) * l.height * l.width;
    s.g = (long long)nk * l.grid_height * l.grid_width;
    s.first = strip * l.rows;
    s.last = min(s.first + l.rows, l.grid_height);
    return s;
}

// Calls f(place in x, place in g, row, column) for every V numbers of the image, and sets g to zero
// beyond it, if it is given.
template <typename T, int V, typename F>
__device__ inline void each(const Layout& l, const Strip& s, T* g, F f) {
    for (int i = s.first + threadIdx.y; i < s.last; i += blockDim.y) {
        long long x = s.x + (long long)i * l.width, row = s.g + (long long)i * l.grid_width;
        for (int j = V * threadIdx.x; j < l.grid_width; j += V * blockDim.x) {
            if (i < l.height && j < l.width)
                f(x + j, row + j, i, j);
            else if (g)
                *(Pack<T, V>*)(g + row + j) = Pack<T, V>{};
        }
    }
}

template <typename T, int V>
__device__ inline Pack<T, V> load(const T* p) {
    return *(const Pack<T, V>*)p;
}

template <typename T, int V>
__device__ inline void store(T* p, const Pack<T, V>& value) {
    *(Pack<T, V>*)p = value;
}

__device__ inline int thread() { return threadIdx.y * blockDim.x + threadIdx.x; }

// Sum over a block of 256 threads; every thread gets it.
__device__ inline double block_sum(double value) {
    __shared__ double partial[8];
    for (int offset = 16; offset > 0; offset >>= 1)
        value += __shfl_down_sync(0xffffffffu, value, offset);
    __syncthreads();  // the last result may still be read
    if (thread() % 32 == 0) partial[thread() / 32] = value;
    __syncthreads();
    value = partial[0];
    for (int warp = 1; warp < 8; ++warp) value += partial[warp];
    return value;
}

// The sum of so many partial sums, the same in every block.
__device__ inline double total(const double* sums, int count) {
    double value = 0;
    for (int i = thread(); i < count; i += 256) value += sums[i];
    return block_sum(value);
}

// ---------------------------------------------------------------------------------- maps
template <typename T, int V = 1>
__global__ void __launch_bounds__(256, 8)
ista_update(T* x, T* g, Layout l, T step, const T* thresholds) {
    Strip s = locate(l);
    T t = thresholds[s.map];
    each<T, V>(l, s, g, [&](long long at, long long there, int, int) {
        Pack<T, V> a = load<T, V>(x + at), b = load<T, V>(g + there);
        for (int q = 0; q < V; ++q) a.v[q] = soft(a.v[q] + step * b.v[q], t);
        store<T, V>(x + at, a);
        store<T, V>(g + there, a);
    });
}

template <typename T, int V = 1>
__global__ void __launch_bounds__(256, 8)
fista_update(const T* x, T* previous, T* g, Layout l, T step, const T* thresholds,
             const T* beta_pointer, double* sums) {
    Strip s = locate(l);
    T t = thresholds[s.map], beta = *beta_pointer;
    double uphill = 0;
    each<T, V>(l, s, g, [&](long long at, long long there, int, int) {
        Pack<T, V> a = load<T, V>(x + at), b = load<T, V>(previous + at), c = load<T, V>(g + there);
        for (int q = 0; q < V; ++q) {
            T point = a.v[q] + beta * (a.v[q] - b.v[q]);
            T value = soft(point + step * c.v[q], t);
            uphill += double((point - value) * (value - a.v[q]));
            b.v[q] = value;
        }
        store<T, V>(previous + at, b);
        store<T, V>(g + there, b);
    });
    uphill = block_sum(uphill);
    if (thread() == 0) sums[blockIdx.x] = uphill;
}

// Without SUMS `sums` is not looked at, else it gets five numbers a block; penalty may be null.
template <typename T, int V = 1, bool SUMS = false>
__global__ void __launch_bounds__(256, SUMS ? 4 : 8)
admm_update(T* v, T* g, Layout l, const T* thresholds, const T* penalty, T alpha, double* sums) {
    Strip s = locate(l);
    T t = thresholds[s.map];
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
    each<T, V>(l, s, g, [&](long long at, long long there, int i, int j) {
        Pack<T, V> a = load<T, V>(v + at), b = load<T, V>(g + there), w;
        if (penalty) w = load<T, V>(penalty + (long long)i * l.width + j);
        for (int q = 0; q < V; ++q) {
            T tq = penalty ? t * w.v[q] : t, correction = b.v[q];
            T y = soft(a.v[q], tq), u = a.v[q] - y;
            T value = y + (T(1) - alpha) * u + alpha * correction;
            T y_new = soft(value, tq), u_new = value - y_new;
            a.v[q] = value;
            b.v[q] = y_new - u_new;
            if (SUMS) {
                T free = y - u + correction;
                s0 += double((free - y_new) * (free - y_new));
                s1 += double((y_new - y) * (y_new - y));
                s2 += double(free * free);
                s3 += double(y_new * y_new);
                s4 += double(u_new * u_new);
            }
        }
        store<T, V>(v + at, a);
        store<T, V>(g + there, b);
    });
    if (!SUMS) return;
    double all[5] = {s0, s1, s2, s3, s4};
    for (int q = 0; q < 5; ++q) {
        double sum = block_sum(all[q]);
        if (thread() == 0) sums[5 * blockIdx.x + q] = sum;
    }
}

// z gets y - u.
template <typename T>
__global__ void admm_rescale(T* v, T* z, Layout l, const T* thresholds, const T* penalty, T ratio) {
    Strip s = locate(l);
    T t = thresholds[s.map];
    each<T, 1>(l, s, z, [&](long long at, long long there, int i, int j) {
        T tj = penalty ? t * penalty[(long long)i * l.width + j] : t;
        T y = soft(v[at], tj), u = ratio * (v[at] - y);
        v[at] = y + u;
        z[there] = y - u;
    });
}

// out gets S(v) on the image; v lies on the grid here.
template <typename T>
__global__ void shrink_maps(const T* v, T* out, Layout l, const T* thresholds) {
    Strip s = locate(l);
    T t = thresholds[s.map];
    each<T, 1>(l, s, nullptr, [&](long long at, long long there, int, int) {
        out[at] = soft(v[there], t);
    });
}

template <typename T>
__global__ void unshrink_maps(T* v, Layout l, const T* thresholds) {
    Strip s = locate(l);
    T t = thresholds[s.map];
    each<T, 1>(l, s, nullptr, [&](long long at, long long, int, int) {
        T value = v[at];
        v[at] = value > T(0) ? value + t : value < T(0) ? value - t : value;
    });
}

// ---------------------------------------------------------------------------------- spectra
// table has three numbers for every map: its first row of filters, its first channel, how many.
// out[n,k,f] = sum_c conj(F[k,c,f]) S[n,c,f]; a block has one map and 1024 frequencies.
template <typename T>
__global__ void __launch_bounds__(256, 8)
analyse_spectra(const T* filters, const T* signal, T* out, const int* table, int samples, int maps,
                int channels, int bins, int chunks) {
    int k = blockIdx.x / chunks, chunk = blockIdx.x % chunks;
    int row = table[3 * k], first = table[3 * k + 1], count = table[3 * k + 2];
    const Complex<T>* bank = (const Complex<T>*)filters + (long long)row * bins;
    for (int n = 0; n < samples; ++n) {
        const Complex<T>* s =
            (const Complex<T>*)signal + ((long long)n * channels + first) * bins;
        Complex<T>* target = (Complex<T>*)out + ((long long)n * maps + k) * bins;
        int last = min(chunk * 1024 + 1024, bins);
        for (int f = chunk * 1024 + threadIdx.x; f < last; f += 256) {
            Complex<T> sum{0, 0};
            for (int c = 0; c < count; ++c) {
                Complex<T> a = bank[(long long)c * bins + f], b = s[(long long)c * bins + f];
                sum.re += a.re * b.re + a.im * b.im;
                sum.im += a.re * b.im - a.im * b.re;
            }
            target[f] = sum;
        }
    }
}

// out[n,c,f] (+)= sum_k F[k,c,f] A[n,k,f] for C channels, from blockIdx.y * C on, so that maps are
// read once. Blocks of 32 frequencies by 8 lanes, which share the maps.
template <typename T, int C = 1>
__global__ void __launch_bounds__(256)
synthesise_spectra(const T* filters, const T* maps_spectra, T* out, const int* table, int maps,
                   int channels, int bins, int chunks, int more) {
    __shared__ double re_part[8][33], im_part[8][33];
    int n = blockIdx.x / chunks, f = blockIdx.x % chunks * 32 + threadIdx.x;
    int lowest = blockIdx.y * C;
    double re[C] = {}, im[C] = {};
    if (f < bins)
        for (int k = threadIdx.y; k < maps; k += 8) {
            Complex<T> b =
                ((const Complex<T>*)maps_spectra)[((long long)n * maps + k) * bins + f];
            int row = table[3 * k], first = table[3 * k + 1], count = table[3 * k + 2];
#pragma unroll
            for (int c = 0; c < C; ++c) {
                int place = lowest + c - first;
                if (place >= 0 && place < count) {
                    Complex<T> a =
                        ((const Complex<T>*)filters)[(long long)(row + place) * bins + f];
                    re[c] += double(a.re * b.re - a.im * b.im);
                    im[c] += double(a.re * b.im + a.im * b.re);
                }
            }
        }
#pragma unroll
    for (int c = 0; c < C; ++c) {
        __syncthreads();  // the last sums may still be read
        re_part[threadIdx.y][threadIdx.x] = re[c];
        im_part[threadIdx.y][threadIdx.x] = im[c];
        __syncthreads();
        if (threadIdx.y == 0 && f < bins && lowest + c < channels) {
            double r = re[c], i = im[c];
            for (int lane = 1; lane < 8; ++lane) {
                r += re_part[lane][threadIdx.x];
                i += im_part[lane][threadIdx.x];
            }
            Complex<T>* target =
                (Complex<T>*)out + ((long long)n * channels + lowest + c) * bins + f;
            if (more) {
                r += target->re;
                i += target->im;
            }
            *target = Complex<T>{T(r), T(i)};
        }
    }
}

// out[n,a,f] = sum_b M[a,b,f] S[n,b,f]; blockIdx.y is n * channels + a.
template <typename T>
__global__ void apply_matrices(const T* matrices, const T* spectrum, T* out, int channels,
                               int bins) {
    int f = blockIdx.x * 256 + threadIdx.x;
    if (f >= bins) return;
    int a = blockIdx.y % channels, n = blockIdx.y / channels;
    Complex<T> sum{0, 0};
    for (int b = 0; b < channels; ++b) {
        Complex<T> m = ((const Complex<T>*)matrices)[((long long)a * channels + b) * bins + f];
        Complex<T> s = ((const Complex<T>*)spectrum)[((long long)n * channels + b) * bins + f];
        sum.re += m.re * s.re - m.im * s.im;
        sum.im += m.re * s.im + m.im * s.re;
    }
    ((Complex<T>*)out)[(long long)blockIdx.y * bins + f] = sum;
}

// ---------------------------------------------------------------------------------- images
// A block has one row of one plane; planes of `image` and `previous` are (H', W'), of the others
// (H, W). out = w^2 (signal - image - beta (image - previous)); weights and previous may be null.
template <typename T>
__global__ void weighted_residual(const T* signal, const T* image, const T* previous, const T* beta,
                                  const T* weights, T* out, int height, int width, int grid_height,
                                  int grid_width) {
    int i = blockIdx.x % height, plane = blockIdx.x / height;
    long long here = ((long long)plane * height + i) * width;
    long long there = ((long long)plane * grid_height + i) * grid_width;
    for (int j = threadIdx.x; j < width; j += blockDim.x) {
        T value = image[there + j];
        if (previous) value += *beta * (value - previous[there + j]);
        value = signal[here + j] - value;
        if (weights) value *= weights[here + j] * weights[here + j];
        out[here + j] = value;
    }
}

// Planes (H, W) with zeros around, (H', W'); a block has one row of the result.
template <typename T>
__global__ void padded(const T* image, T* out, int height, int width, int grid_height,
                       int grid_width, int row, int plane_stride) {
    int i = blockIdx.x % grid_height, plane = blockIdx.x / grid_height;
    long long here = (long long)plane * plane_stride + (long long)i * row;
    long long there = (long long)blockIdx.x * grid_width;
    for (int j = threadIdx.x; j < grid_width; j += blockDim.x)
        out[there + j] = i < height && j < width ? image[here + j] : T(0);
}

// ---------------------------------------------------------------------------------- momentum
// From the partial sums of <p - new, new - x> the restart, t and beta of the next iteration.
template <typename T>
__global__ void momentum(const double* sums, int count, const T* t, T* t_new, T* beta) {
    double uphill = total(sums, count);
    if (thread()) return;
    T now = *t, next = (T(1) + sqrt(T(1) + T(4) * now * now)) / T(2);
    *beta = uphill > 0 ? T(0) : (now - T(1)) / next;
    *t_new = uphill > 0 ? T(1) : next;
}

// ------------------------------------------------------------------- conjugate gradients of ADMM
// All images are on ADMM's grid, contiguous; `size` numbers each.
template <typename T>
__global__ void multiply(const T* a, const T* b, T* out, long long size) {
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256)
        out[i] = a[i] * b[i];
}

// r = w (signal - image) - (rho x + w filtered)
template <typename T>
__global__ void cg_start(const T* signal, const T* image, const T* w, const T* x,
                         const T* filtered, T* r, T rho, long long size) {
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256)
        r[i] = w[i] * (signal[i] - image[i] - filtered[i]) - rho * x[i];
}

// filtered becomes q = rho p + w filtered; partial sums of <p, q>
template <typename T>
__global__ void cg_matrix(const T* p, const T* w, T* filtered, T rho, double* sums,
                          long long size) {
    double sum = 0;
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256) {
        T value = rho * p[i] + w[i] * filtered[i];
        filtered[i] = value;
        sum += double(p[i] * value);
    }
    sum = block_sum(sum);
    if (thread() == 0) sums[blockIdx.x] = sum;
}

// By which sums of products of any scale may be divided
template <typename T>
__device__ inline double smallest_normal() {
    return sizeof(T) == 4 ? 1.1754943508222875e-38 : 2.2250738585072014e-308;
}

// x += a p, r -= a q with a = <r, z> / <p, q>
template <typename T>
__global__ void cg_advance(T* x, T* r, const T* p, const T* q, const double* rz, const double* pq,
                           int count, long long size) {
    T a = T(total(rz, count) / fmax(total(pq, count), smallest_normal<T>()));
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256) {
        x[i] += a * p[i];
        r[i] -= a * q[i];
    }
}

// z = filtered where w > 0, else 0, in place; partial sums of <r, z>
template <typename T>
__global__ void cg_precondition(const T* w, const T* r, T* z, double* sums, long long size) {
    double sum = 0;
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256) {
        T value = w[i] > T(0) ? z[i] : T(0);
        z[i] = value;
        sum += double(r[i] * value);
    }
    sum = block_sum(sum);
    if (thread() == 0) sums[blockIdx.x] = sum;
}

// p = z + (new / old) p and w p; `old` null: p = z
template <typename T>
__global__ void cg_direction(T* p, T* weighted, const T* z, const T* w, const double* old_rz,
                             const double* new_rz, int count, long long size) {
    T b = old_rz ? T(total(new_rz, count) / fmax(total(old_rz, count), smallest_normal<T>())) : T(0);
    for (long long i = blockIdx.x * 256 + threadIdx.x; i < size; i += gridDim.x * 256) {
        T value = old_rz ? z[i] + b * p[i] : z[i];
        p[i] = value;
        weighted[i] = w[i] * value;
    }
}
