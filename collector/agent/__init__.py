"""The running agent: schedule, isolation, scrape and push."""
