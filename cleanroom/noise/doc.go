// Package noise is the arithmetic of answers that protect people: how noisy numbers are
// drawn, what a question costs, and how far an answer can be from the truth.
//
// Noise is Gaussian and counted in people: "20 people" is a standard deviation of 20 for a
// count of people, and of 20 times the most that one person can add for a sum. Loss is
// counted as zero-concentrated differential privacy does (Bun and Steinke 2016): an answer
// whose value one person can move by d, with a standard deviation of s, costs d²/(2s²), and
// costs add up. Noise grows with the root of the number of questions, where losses that
// are counted as epsilons of Laplace noise let it grow with the number.
//
// What a loss of rho means: somebody who knows all the data but for one person, and spends
// rho on that person alone, tells whether they are in with a probability of at most
// Φ(√(rho/2)) ([Accuracy]). It is the bound that the attacks of this repository are held to.
//
// Everything is whole numbers, because the low bits of floating-point noise give away what
// it was added to (Mironov 2012).
package noise
