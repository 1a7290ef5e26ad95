# Detectors of R's package surveillance on daily counts, for the scoreboard.
#
#   Rscript surveillance.R COUNTS OUT DAYS_PER_WEEK JUDGED_FROM ALPHA SECONDS_MAX
#
# COUNTS has the columns series, day, count, wanted: days from 1, one series after the other, all of one
# length; statistics are asked for where wanted is 1. OUT gets a line of versions, and then a line for each
# detector, series and day: detector;series;day;statistic;alarm. A statistic is larger the stranger a day
# is; alarm is 1 where the detector alarms at its own nominal rate ALPHA, and empty where it has none. A
# detector that does not finish all series within SECONDS_MAX gets the line detector;timeout and nothing
# else; one that stops with an error gets detector;error;words.

suppressMessages(library(surveillance))

arguments <- commandArgs(trailingOnly = TRUE)
counts <- read.csv(arguments[1])
out <- file(arguments[2], "w")
days_per_week <- as.integer(arguments[3])
judged_from <- as.integer(arguments[4])
alpha <- as.numeric(arguments[5])
seconds_max <- as.numeric(arguments[6])
per_year <- 52 * days_per_week

as_sts <- function(counts) sts(counts, start = c(2010, 1), frequency = per_year)

# -ln p, finite also where p is 0 and where the detector says nothing.
unlikely <- function(p) {
  p[is.na(p)] <- 1
  -log(pmax(p, 1e-300))
}

# Farrington Flexible (Noufaily et al. 2013). Its p-value is that of the plug-in negative binomial.
farrington <- function(counts, range, periods) {
  settings <- list(range = range, alpha = alpha, b = 4, w = 3, noPeriods = periods, trend = TRUE,
                   pThresholdTrend = 1, weightsThreshold = 2.58, pastWeeksNotIncluded = 12,
                   thresholdMethod = "nbPlugin")
  result <- suppressWarnings(farringtonFlexible(as_sts(counts), settings))
  alarm <- as.vector(alarms(result))
  alarm[is.na(alarm)] <- 0
  list(statistic = unlikely(as.vector(result@control$pvalue)), alarm = as.integer(alarm))
}

# As the comparison used it: on running sums of a week.
farrington_sums <- function(counts, range) {
  sums <- as.vector(stats::filter(counts, rep(1, days_per_week), sides = 1))
  sums[is.na(sums)] <- 0
  farrington(sums, range, 1)
}

# On the counts themselves, with the ten-level seasonal factor that its authors recommend.
farrington_days <- function(counts, range) farrington(counts, range, 10)

# EARS. The statistic is how many deviations the count lies over the mean, which the bounds at two levels
# give away.
ears <- function(method) function(counts, range) {
  series <- as_sts(counts)
  bound <- function(level) {
    as.vector(upperbound(earsC(series, list(range = range, method = method, alpha = level, minSigma = 0.5))))
  }
  if (method == "C3") {
    # Its bound is cut off at 0, so the deviation is that of C2, and only the one bound is used.
    c2 <- earsC(series, list(range = range, method = "C2", alpha = 0.5, minSigma = 0.5))
    mean <- as.vector(upperbound(c2))
    upper <- as.vector(upperbound(earsC(series, list(range = range, method = "C2", alpha = 0.1, minSigma = 0.5))))
    deviation <- (upper - mean) / qnorm(0.9)
    statistic <- qnorm(1 - alpha) + (counts[range] - bound(alpha)) / deviation
    return(list(statistic = statistic, alarm = as.integer(counts[range] > bound(alpha))))
  }
  mean <- bound(0.5)
  deviation <- (bound(0.1) - mean) / qnorm(0.9)
  list(statistic = (counts[range] - mean) / deviation, alarm = as.integer(counts[range] > bound(alpha)))
}

# The usual mean that the likelihood ratio needs: trend, day of the week and two harmonics of the year, on
# the days before those that are judged. Only a trend and harmonics are what glrnb would fit by itself,
# and without days of the week it would see nothing else.
usual <- function(counts) {
  day <- seq_along(counts)
  frame <- data.frame(count = counts, day = day / per_year, of_week = factor(day %% days_per_week))
  for (harmonic in 1:2) {
    frame[[paste0("c", harmonic)]] <- cos(2 * pi * harmonic * frame$day)
    frame[[paste0("s", harmonic)]] <- sin(2 * pi * harmonic * frame$day)
  }
  before <- frame[day < judged_from, ]
  model <- glm(count ~ day + of_week + c1 + s1 + c2 + s2, family = quasipoisson, data = before)
  fitted <- predict(model, before, type = "response")
  # Variance m + alpha m^2, by moments.
  dispersion <- sum((before$count - fitted)^2 - fitted) / sum(fitted^2)
  list(mean = predict(model, frame, type = "response"), dispersion = max(dispersion, 0))
}

# The generalised likelihood ratio (Hoehle and Paul 2008) over windows of up to 30 days. Its threshold is
# no rate, so it has no nominal alarms.
likelihood_ratio <- function(counts, range) {
  model <- usual(counts)
  settings <- list(range = range, c.ARL = 1e9, mu0 = pmax(model$mean[range], 1e-6), M = 30, ret = "value",
                   alpha = if (model$dispersion < 1e-4) 0 else model$dispersion)
  result <- glrnb(as_sts(counts), settings)
  list(statistic = as.vector(upperbound(result)), alarm = rep(NA, length(range)))
}

# bodaDelay without delays (Salmon et al. 2015), by its asymptotic inference, which needs no INLA. The
# tail is that of the mixture whose quantile it alarms at.
boda <- function(counts, range) {
  inside <- asNamespace("surveillance")
  draws <- 100
  p <- sapply(range, function(k) {
    data <- inside$bodaDelay.data.glm(dayToConsider = k, b = 4, freq = per_year, epochAsDate = FALSE,
      epochStr = "none", vectorOfDates = seq_along(counts), w = 3, noPeriods = 1,
      observed = matrix(counts), population = rep(1, length(counts)), verbose = FALSE,
      pastWeeksNotIncluded = 12, reportingTriangle = NULL, delay = FALSE)
    model <- suppressWarnings(inside$bodaDelay.fitGLM(dataGLM = data, reportingTriangle = NULL,
      timeTrend = TRUE, alpha = alpha, factorsBool = FALSE, pastAberrations = TRUE, glmWarnings = NULL,
      verbose = FALSE, delay = FALSE, inferenceMethod = "asym"))
    if (is.null(model)) return(NA)
    now <- try(predict(model, type = "link", se.fit = TRUE, newdata = tail(data, n = 1)), silent = TRUE)
    if (inherits(now, "try-error")) return(NA)
    set.seed(1)
    size <- rnorm(draws, summary(model)$theta, summary(model)$SE.theta)
    mean <- exp(rnorm(draws, now$fit, now$se.fit))
    usable <- !is.na(size) & size > 0
    if (!any(usable)) return(NA)
    mean(pnbinom(counts[k] - 1, size = size[usable], mu = mean[usable], lower.tail = FALSE))
  })
  list(statistic = unlikely(p), alarm = as.integer(!is.na(p) & p <= alpha))
}

detectors <- list(
  "farringtonFlexible, sums of a week" = farrington_sums,
  "farringtonFlexible, days" = farrington_days,
  "earsC C1" = ears("C1"),
  "earsC C2" = ears("C2"),
  "earsC C3" = ears("C3"),
  "glrnb" = likelihood_ratio,
  "bodaDelay" = boda
)

# Cheap ones, and those that add up over days, answer for all judged days; the rest only for those that are
# asked for.
all_days <- c("earsC C1", "earsC C2", "earsC C3", "glrnb")

run_all <- function(name) {
  lines <- character()
  for (series in unique(counts$series)) {
    of_series <- counts[counts$series == series, ]
    wanted <- of_series$day[of_series$wanted == 1]
    if (length(wanted) == 0) next
    range <- if (name %in% all_days) judged_from:nrow(of_series) else wanted
    result <- detectors[[name]](of_series$count, range)
    alarm <- ifelse(is.na(result$alarm), "", result$alarm)
    lines <- c(lines, sprintf("%s;%d;%d;%.6g;%s", name, series, range, result$statistic, alarm))
  }
  lines
}

writeLines(sprintf("R %s.%s, surveillance %s", R.version$major, R.version$minor,
                   packageVersion("surveillance")), out)
for (name in names(detectors)) {
  lines <- tryCatch({
    setTimeLimit(elapsed = seconds_max, transient = TRUE)
    run_all(name)
  }, error = function(problem) {
    words <- gsub("[\r\n;|]+", " ", conditionMessage(problem))
    if (grepl("time limit", words)) paste0(name, ";timeout") else paste0(name, ";error;", words)
  })
  setTimeLimit(elapsed = Inf)
  writeLines(lines, out)
}
close(out)
