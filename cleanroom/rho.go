package cleanroom

// Rho is privacy loss as zero-concentrated differential privacy counts it, in billionths:
// whole numbers, so that sums are exact and a cap is a cap. Costs are rounded up.
type Rho int64

// OneRho is a loss of 1.
const OneRho Rho = 1_000_000_000
