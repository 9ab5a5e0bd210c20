package audit

// compareCheckpoint checks the checkpoint of this size, if there is one.
func (v *verification) compareCheckpoint() error {
	stored, err := v.checkpoints.peek()
	if err != nil || stored == nil || stored.Size > v.edge.Size() {
		return err
	}
	defer v.checkpoints.pop()
	v.report.Checkpoints++
	first := v.coSize
	v.coSize = stored.Size
	c, ok := v.openCheckpoint(stored, first)
	switch {
	case !ok:
	case c.Root == v.edge.Root():
		v.report.Signed = c
		v.settleFitting()
		v.goodSize = stored.Size
	case len(v.wrong) == 0 && v.mismatch == nil:
		v.found(first, CheckpointForked, "size %d", c.Size)
	}
	return nil
}

func (v *verification) openCheckpoint(stored *StoredCheckpoint, first uint64) (Checkpoint, bool) {
	c, err := v.openNote(stored.Note)
	switch {
	case err != nil:
		v.found(first, CheckpointAltered, "size %d: signature does not verify", stored.Size)
	case c.Size != stored.Size || c.Root != stored.Root:
		v.found(first, CheckpointAltered, "size %d: filed under another size or root", stored.Size)
	default:
		return c, true
	}
	return Checkpoint{}, false
}

// openNote opens a checkpoint by the key that signs now or, before its first, by a former one.
func (v *verification) openNote(signed []byte) (Checkpoint, error) {
	c, err := OpenCheckpoint(signed, v.config.Verifier)
	if err == nil {
		v.took = true
		return c, nil
	}
	if !v.took {
		for _, former := range v.config.Former {
			if c, failed := OpenCheckpoint(signed, former); failed == nil {
				return c, nil
			}
		}
	}
	return Checkpoint{}, err
}
