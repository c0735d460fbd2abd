package transfer

// OpenSeal opens a seal's files as an import does once it has read them.
func OpenSeal(in *Inbound, id string, sealed map[string][]byte) error {
	d := &delivery{Inbound: in, id: id, sealed: sealed}
	return d.openSeal()
}
