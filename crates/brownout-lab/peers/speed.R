# Seconds that farringtonFlexible of the package surveillance needs for one point of a weekly count series
# of seven years. Usage: Rscript speed.R POINTS
points <- as.integer(commandArgs(trailingOnly = TRUE)[1])
suppressMessages(library(surveillance))
set.seed(1)
weeks <- 7 * 52
counts <- rnbinom(weeks, size = 4, mu = 20 * exp(0.3 * sin(2 * pi * (1:weeks) / 52)))
series <- sts(observed = counts, start = c(2010, 1), frequency = 52)
control <- list(range = (weeks - points + 1):weeks, b = 5, w = 3, noPeriods = 10, alpha = 0.01)
took <- system.time(farringtonFlexible(series, control))[["elapsed"]]
cat(took / points, "\n")
