#include <zlib.h>

/* deflateInit2 is a macro. Compresses in one call in gzip's format (RFC 1952); gives the number of bytes written, or
   -1 where `room` is too small. */
static inline long weir_gzip(const unsigned char *bytes, unsigned count, unsigned char *out, unsigned room) {
    z_stream stream = {0};
    if (deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return -1;
    stream.next_in = (unsigned char *)bytes;
    stream.avail_in = count;
    stream.next_out = out;
    stream.avail_out = room;
    int result = deflate(&stream, Z_FINISH);
    long written = (long)stream.total_out;
    deflateEnd(&stream);
    return result == Z_STREAM_END ? written : -1;
}
