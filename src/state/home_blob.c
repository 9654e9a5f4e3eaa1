/* Blobs in the home: packed by zstd where that pays. What is read back may be anybody's bytes: its
 * size is believed only as far as bytes come. */
#include "state/sqlite_home.h"
#include <zstd.h>

enum { WORTH_PACKING = 256, FIRST_PIECE = 256 * 1024 };

static const uint64_t SIZE_MOST = UINT64_C(1) << 32;

void home_pack(Str data, Buffer *out) {
    out->size = 0;
    if (data.size >= WORTH_PACKING) {
        size_t bound = ZSTD_compressBound(data.size);
        buffer_add_u8(out, 1);
        buffer_add_varint(out, data.size);
        char *to = buffer_reserve(out, bound);
        size_t packed = ZSTD_compress(to, bound, data.data, data.size, 1);
        if (!ZSTD_isError(packed) && packed < data.size) {
            out->size += packed;
            return;
        }
        out->size = 0;
    }
    buffer_add_u8(out, 0);
    buffer_add_str(out, data);
}

static Status unpack_zstd(Str packed, uint64_t size, Buffer *out, Error *error) {
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {packed.data, packed.size, 0};
    size_t left = 1;
    bool good = stream != NULL;
    while (good && left) {
        size_t more = out->size < FIRST_PIECE ? FIRST_PIECE : out->size;
        if (more > size - out->size) more = size - out->size;
        ZSTD_outBuffer to = {buffer_reserve(out, more + 1), more, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(stream, &to, &in);
        out->size += to.pos;
        good = !ZSTD_isError(left) && (to.pos || in.pos > before || !left);
    }
    ZSTD_freeDStream(stream);
    if (!good || out->size != size || in.pos != in.size) return fail(error, "home: damaged blob");
    return OK;
}

Status home_unpack(Str data, Buffer *out, Error *error) {
    out->size = 0;
    Reader reader = reader_of(data);
    uint8_t kind = read_u8(&reader);
    if (kind == 0 && !reader.bad) {
        buffer_add(out, reader.at, (size_t)(reader.end - reader.at));
        return OK;
    }
    uint64_t size = read_varint(&reader);
    if (kind != 1 || reader.bad || size > SIZE_MOST) return fail(error, "home: damaged blob");
    return unpack_zstd((Str){reader.at, (size_t)(reader.end - reader.at)}, size, out, error);
}

/* What is damaged counts as it is stored; who unpacks it will tell. */
int64_t home_unpacked_size(Str begin, int64_t packed) {
    Reader reader = reader_of(begin);
    uint8_t kind = read_u8(&reader);
    uint64_t size = kind == 1 ? read_varint(&reader) : 0;
    if (reader.bad || kind > 1 || size > SIZE_MOST) return packed;
    return kind ? (int64_t)size : packed - 1;
}
