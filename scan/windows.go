package scan

// span is a part of large content, in bytes.
type span struct{ off, length int64 }

// spans cuts size bytes into windows that overlap, in order.
func spans(size, window, overlap int64) []span {
	var s []span
	for off := int64(0); ; off += window - overlap {
		length := min(window, size-off)
		s = append(s, span{off, length})
		if off+length >= size {
			return s
		}
	}
}

// windows walks large content for the worker and keeps the last part it
// fetched: rules ask for the same header again and again.
type windows struct {
	size  int64
	fetch func(p []byte, off int64) error

	all  []span
	next int
	held int // 1 + index of the span in the caller's buffer
	err  error
}

// first restarts the walk.
func (w *windows) first() (int, span, bool) {
	if w.all == nil {
		w.all = spans(w.size, yaraWindow, yaraOverlap)
	}
	w.next = 0
	return w.step()
}

// step returns the next span with its index. After a failed fetch there is none.
func (w *windows) step() (int, span, bool) {
	if w.err != nil || w.next >= len(w.all) {
		return 0, span{}, false
	}
	w.next++
	return w.next - 1, w.all[w.next-1], true
}

// fill puts span i into buf unless it is what buf held at the last call.
func (w *windows) fill(i int, buf []byte) {
	if w.held == i+1 || w.err != nil {
		return
	}
	w.held = 0
	s := w.all[i]
	if w.err = w.fetch(buf[:s.length], s.off); w.err == nil {
		w.held = i + 1
	}
}
