mod configuration;

#[test] fn t(){}
