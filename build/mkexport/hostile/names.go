package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// names are ordinary files that must arrive under exactly these names. Each has
// content of its own, so that one twin cannot pass for the other.
func names() []sample {
	var all []sample
	for i, n := range []struct{ name, path, why string }{
		{"name-nfc", "ガイド.txt", "composed characters"},
		{"name-nfd", "カ\u3099イト\u3099.txt", "the same name in decomposed characters"},
		{"name-upper", "REPORT.txt", "differs from the next in case only"},
		{"name-lower", "report.txt", "differs from the one before in case only"},
		{"name-rtl", "referral_\u202efdp.txt", "shown from right to left, it seems to end otherwise"},
		{"name-255", strings.Repeat("長", 84) + "xyz", "255 bytes, all that Linux allows"},
		{"name-sjis", sjisName, "Shift_JIS, not UTF-8"},
		{"name-newline", "line\nbreak.txt", "a line feed"},
		{"name-sjis-twin", "\x90\x66\x92\x66\x8f\x92.txt", "differs from the other Shift_JIS name in a byte that is no UTF-8 either"},
	} {
		all = append(all, sample{n.name, "names/" + n.path, Clean, ByNobody, n.why, content(fmt.Appendf(nil, "content %d\n", i))})
	}
	return all
}

// special are not files, or files under two names.
func special() []sample {
	link := func(target string) func(string) error {
		return func(path string) error { return os.Symlink(target, path) }
	}
	const follow = "a link is never followed: "
	return []sample{
		{"fifo", "special/fifo", Refused, BySource, "reading it would never end", func(path string) error { return unix.Mkfifo(path, 0o644) }},
		{"socket", "special/socket", Refused, BySource, "not a file", func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o644, 0) }},
		{"device", "special/device", Refused, BySource, "not a file", func(path string) error {
			return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) // endless zeros
		}},
		{"symlink-absolute", "special/absolute", Refused, BySource, follow + "out of the tree", link("/etc/hostname")},
		{"symlink-relative", "special/relative", Refused, BySource, follow + "out of the tree", link("../../outside")},
		{"symlink-folder", "special/folder", Refused, BySource, follow + "a folder within itself", link(".")},
		{"symlink-loop-1", "special/loop1", Refused, BySource, follow + "a loop", link("loop2")},
		{"symlink-loop-2", "special/loop2", Refused, BySource, follow + "a loop", link("loop1")},
		{"hard-link-1", "special/name1.txt", Clean, ByNobody, "two names of one file: both arrive", content([]byte("two names\n"))},
		{"hard-link-2", "special/name2.txt", Clean, ByNobody, "two names of one file: both arrive", func(path string) error {
			return os.Link(filepath.Join(filepath.Dir(path), "name1.txt"), path)
		}},
	}
}

// large are files about the size that ClamAV cannot scan, all zeros.
func large() []sample {
	var all []sample
	for _, f := range []struct {
		name string
		size int64
	}{{"2GiB-1", 2<<30 - 1}, {"2GiB", 2 << 30}, {"2GiB+1", 2<<30 + 1}, {"5GiB", 5 << 30}} {
		all = append(all, sample{"sparse-" + f.name, "sparse/" + f.name + ".dmp", Unscannable, ByLimits, "over the engine's limit of 2 GiB − 3 bytes",
			func(path string) error {
				if err := content(nil)(path); err != nil {
					return err
				}
				return os.Truncate(path, f.size)
			}})
	}
	return all
}
