package bagit

import (
	"fmt"
	"strings"
)

// information checks bag-info.txt, when there is one: its form, and the octets
// and files that it states.
func (b *bag) information() error {
	if _, ok := b.files[information]; !ok {
		return nil
	}
	lines, err := b.lines(information)
	if err != nil {
		return err
	}
	var stated []string // values of Payload-Oxum
	oxum := false       // the element being read is that
	for i, line := range lines {
		if rest := strings.TrimLeft(line, " \t"); rest != line {
			if i == 0 {
				return invalid("%s begins with the continuation of nothing", information)
			}
			if oxum {
				stated[len(stated)-1] += rest
			}
			continue
		}
		label, value, _ := strings.Cut(line, ":")
		if label == "" || strings.TrimSpace(label) != label || value == "" || !strings.ContainsAny(value[:1], " \t") {
			return invalid("line %d of %s is not a label and a value: %.120q", i+1, information, line)
		}
		if oxum = strings.EqualFold(label, "Payload-Oxum"); oxum {
			stated = append(stated, value[1:])
		}
	}
	if len(stated) > 1 {
		return invalid("%s states Payload-Oxum %d times", information, len(stated))
	}
	var octets int64
	names := b.payload()
	for _, name := range names {
		octets += b.files[name]
	}
	if want := fmt.Sprintf("%d.%d", octets, len(names)); len(stated) == 1 && stated[0] != want {
		return invalid("Payload-Oxum is %.120q and the payload's is %s", stated[0], want)
	}
	return nil
}
