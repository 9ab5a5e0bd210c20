package prepare

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

// seedSize is how many bytes the seed has on which all orders hang.
const seedSize = 32

// stream returns random bytes that hang on a seed and a label alone (AES-256 in counter mode
// under a key derived with HKDF), so that work that was broken off comes out in the same order.
func stream(seed [seedSize]byte, label string) (io.Reader, error) {
	key, err := hkdf.Key(sha256.New, seed[:], nil, "mahrem/prepare/"+label, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving order: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving order: %w", err)
	}
	// The key is used for this stream alone.
	return bufio.NewReaderSize(&keystream{cipher.NewCTR(block, make([]byte, aes.BlockSize))}, 4096), nil
}

type keystream struct{ stream cipher.Stream }

func (k *keystream) Read(b []byte) (int, error) {
	clear(b)
	k.stream.XORKeyStream(b, b)
	return len(b), nil
}
