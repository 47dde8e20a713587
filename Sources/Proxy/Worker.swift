public import Configuration
