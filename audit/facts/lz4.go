package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// lz4Reader reads a frame of LZ4, as apt keeps its lists where Acquire::GzipIndexes is on. Checksums are not looked at:
// what is read is judged like any other file of the host.
// Source: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md and lz4_Block_format.md.
type lz4Reader struct {
	in      io.Reader
	begun   bool
	sums    bool   // each block has a checksum behind it
	linked  bool   // a block may point into the one before it
	block   []byte // compressed
	out     []byte // decompressed, with up to 64 KiB of what was before
	pending []byte // of out, not yet read
	max     int    // bytes of one decompressed block
}

const lz4Window = 64 << 10

var errLZ4 = errors.New("not a whole LZ4 frame")

func (r *lz4Reader) Read(p []byte) (int, error) {
	if !r.begun {
		if err := r.header(); err != nil {
			return 0, err
		}
		r.begun = true
	}
	for len(r.pending) == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

func (r *lz4Reader) header() error {
	head := make([]byte, 7)
	if _, err := io.ReadFull(r.in, head); err != nil {
		return fmt.Errorf("%w: %w", errLZ4, err)
	}
	flags := head[4]
	if binary.LittleEndian.Uint32(head) != 0x184D2204 || flags>>6 != 1 || flags&1 != 0 { // the last: a dictionary
		return errLZ4
	}
	size := head[5] >> 4 & 7
	if size < 4 {
		return errLZ4
	}
	r.linked, r.sums, r.max = flags&0x20 == 0, flags&0x10 != 0, 1<<(8+2*int(size))
	if flags&8 != 0 { // the content's size
		if _, err := io.ReadFull(r.in, make([]byte, 8)); err != nil {
			return fmt.Errorf("%w: %w", errLZ4, err)
		}
	}
	return nil
}

// next reads and expands one block.
func (r *lz4Reader) next() error {
	var word [4]byte
	if _, err := io.ReadFull(r.in, word[:]); err != nil {
		return fmt.Errorf("%w: %w", errLZ4, err)
	}
	size := binary.LittleEndian.Uint32(word[:])
	if size == 0 {
		return io.EOF
	}
	raw := size>>31 == 1
	if size &= 1<<31 - 1; int(size) > r.max {
		return errLZ4
	}
	if cap(r.block) < int(size) {
		r.block = make([]byte, size)
	}
	r.block = r.block[:size]
	if _, err := io.ReadFull(r.in, r.block); err != nil {
		return fmt.Errorf("%w: %w", errLZ4, err)
	}
	if r.sums {
		if _, err := io.ReadFull(r.in, word[:]); err != nil {
			return fmt.Errorf("%w: %w", errLZ4, err)
		}
	}
	if !r.linked {
		r.out = r.out[:0]
	} else if over := len(r.out) - lz4Window; over > 0 {
		r.out = r.out[:copy(r.out, r.out[over:])]
	}
	before := len(r.out)
	if raw {
		r.out = append(r.out, r.block...)
	} else if err := r.expand(before + r.max); err != nil {
		return err
	}
	r.pending = r.out[before:]
	return nil
}

// expand appends what the block stands for to out, up to limit bytes in all.
func (r *lz4Reader) expand(limit int) error {
	b := r.block
	for len(b) > 0 {
		token := b[0]
		literals, rest, err := lz4Length(int(token>>4), b[1:])
		if err != nil || literals > len(rest) || len(r.out)+literals > limit {
			return errLZ4
		}
		r.out, b = append(r.out, rest[:literals]...), rest[literals:]
		if len(b) == 0 { // the last sequence has no match
			return nil
		}
		if len(b) < 2 {
			return errLZ4
		}
		offset := int(binary.LittleEndian.Uint16(b))
		length, rest, err := lz4Length(int(token&15), b[2:])
		length += 4
		if err != nil || offset == 0 || offset > len(r.out) || len(r.out)+length > limit {
			return errLZ4
		}
		b = rest
		for length > 0 { // a match may overlap what it writes
			from := len(r.out) - offset
			n := min(length, offset)
			r.out = append(r.out, r.out[from:from+n]...)
			length -= n
		}
	}
	return nil
}

// lz4Length reads on where a length of four bits is full.
func lz4Length(n int, b []byte) (int, []byte, error) {
	if n < 15 {
		return n, b, nil
	}
	for i, c := range b {
		n += int(c)
		if c < 255 {
			return n, b[i+1:], nil
		}
	}
	return 0, nil, errLZ4
}
