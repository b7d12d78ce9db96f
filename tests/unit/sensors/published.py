"""What programs of phones and Macs printed, as their owners published it."""

from __future__ import annotations

#: A Samsung A52 5G with Android 12: https://android.stackexchange.com/questions/246774 (CC BY-SA). The figures of the
#: cached temperatures are left out here where they repeat those of the hardware layer.
SAMSUNG_A52 = """IsStatusOverride: false
ThermalEventListeners:
        callbacks: 1
        killed: false
        broadcasts count: -1
ThermalStatusListeners:
        callbacks: 4
        killed: false
        broadcasts count: -1
Thermal Status: 0
Cached temperatures:
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
HAL Ready: true
HAL connection:
        ThermalHAL 2.0 connected: yes
Current temperatures from HAL:
        Temperature{mValue=25.6, mType=0, mName=AP, mStatus=0}
        Temperature{mValue=23.8, mType=2, mName=BAT, mStatus=0}
        Temperature{mValue=24.7, mType=3, mName=LRB, mStatus=0}
        Temperature{mValue=25.7, mType=5, mName=PA, mStatus=0}
        Temperature{mValue=0.0, mType=2, mName=SUBBAT, mStatus=0}
        Temperature{mValue=0.0, mType=4, mName=USB, mStatus=0}
Current cooling devices from HAL:
Temperature static thresholds from HAL:
"""

#: An NVIDIA Shield TV under load: https://github.com/bryanroscoe/shield_optimizer/issues/6. It reports that the cached
#: 37 °C are stale, and that the hardware layer says 66.5 °C below them; of that part only this figure is told.
SHIELD_TV = """Thermal Status: 0
Cached temperatures:
        Temperature{mValue=36.0, mType=1, mName=GPU, mStatus=0}
        Temperature{mValue=37.0, mType=0, mName=CPU0, mStatus=0}
HAL Ready: true
HAL connection:
Current temperatures from HAL:
        Temperature{mValue=66.5, mType=0, mName=CPU0, mStatus=0}
"""

#: A MacBook Pro of 2011 without a battery, at about 50 °C and not hot at all: a question at Ask Different, kept at
#: https://newbetuts.com/407192-where-does-the-pmset-cpu-speed-limit-variable-come-from-and-how-to-modify-it
MACBOOK_WITHOUT_BATTERY = """Note: No thermal warning level has been recorded
Note: No performance warning level has been recorded
2020-11-24 13:10:40 +0100 CPU Power notify
\tCPU_Scheduler_Limit \t= 100
\tCPU_Available_CPUs \t= 8
\tCPU_Speed_Limit \t= 35
"""

#: A Samsung Galaxy Tab A7 Lite, of the same answer as the A52's: only the lines that it shows.
SAMSUNG_TAB_A7 = """Thermal Status: 0
Current temperatures from HAL:
        Temperature{mValue=29.1, mType=0, mName=CPU, mStatus=0}
Current cooling devices from HAL:
"""

#: Two phones of Google's test farm, which does not name them, by its own tests, shortened; the first has the sensors of
#: a Tensor, the second those of a Snapdragon:
#: https://github.com/google/skia-buildbot, machine/go/machine/processor/impl_test.go
PIXEL_TENSOR = """IsStatusOverride: false
Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=61.000004, mType=0, mName=BIG, mStatus=0}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{mValue=8900.0, mType=7, mName=soft_ocp_gpu, mStatus=0}
\tTemperature{mValue=25.000002, mType=9, mName=TPU, mStatus=0}
\tTemperature{mValue=1300.0, mType=6, mName=smpl_gm, mStatus=0}
\tTemperature{mValue=0.0, mType=8, mName=soc, mStatus=0}
\tTemperature{mValue=26.000002, mType=0, mName=BIG, mStatus=0}
\tTemperature{mValue=27.000002, mType=0, mName=LITTLE, mStatus=0}
\tTemperature{mValue=-0.117000006, mType=-1, mName=USB2-MINUS-USB, mStatus=0}
\tTemperature{mValue=24.83324, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
\tTemperature{mValue=1.0, mType=6, mName=battery_cycle, mStatus=0}
\tTemperature{mValue=22.1, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
"""
PIXEL_SNAPDRAGON = """Thermal Status: 0
Cached temperatures:
\tTemperature{mValue=46.100002, mType=0, mName=cpu0-silver-usr, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=28.000002, mType=2, mName=battery, mStatus=0}
\tTemperature{mValue=33.800003, mType=0, mName=cpu0-gold-usr, mStatus=0}
\tTemperature{mValue=44.1, mType=0, mName=cpu1-silver-usr, mStatus=0}
\tTemperature{mValue=30.147001, mType=3, mName=mb-therm-monitor, mStatus=0}
Current cooling devices from HAL:
\tCoolingDevice{mValue=0, mType=1, mName=battery}
"""
PIXEL_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: false
  Max charging current: 1500000
  Max charging voltage: 5000000
  Charge counter: 2448973
  status: 2
  health: 2
  present: true
  level: 95
  scale: 100
  voltage: 4248"""

#: A Samsung phone with lines of its maker below: https://github.com/zebrunner/mcloud-device/issues/150, shortened.
SAMSUNG_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 0
  Charge counter: 2967000
  status: 5
  health: 2
  present: true
  level: 100
  scale: 100
  voltage: 4312
  temperature: 309
  technology: Li-ion
  batteryMiscEvent: 65536
  LED Charging: true
  current now: 0
  charge counter: 2967000
USE_FAKE_BATTERY: false
LLB MAN:
BatteryInfoBackUp
  mSavedBatteryAsoc: 96
"""
#: An older Samsung, which counts no charge: https://gh0st.tistory.com/6, shortened.
SAMSUNG_BATTERY_OLDER = """Current Battery Service state:
  mBootCompleted: true
  AC powered: false
  USB powered: true
  Wireless powered: false
  Charge counter: 0
  status: 2
  health: 2
  present: true
  level: 84
  scale: 100
  voltage: 4063
  temperature: 326
  technology: Li-ion
  charge counter: 0
"""
#: A Xiaomi Redmi Note 14, which counts its charge in mAh: https://github.com/d4rken-org/amply/pull/52, shortened.
REDMI_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: false
  Dock powered: false
  Max charging current: 12400000
 Time when the latest updated value of the Max charging current was sent via battery changed broadcast: +3h50m5s130ms
  Charge counter: 4274
  status: 2
  health: 2
  present: true
  level: 80
  scale: 100
  voltage: 4228
 The last voltage value sent via the battery changed broadcast: 4232
  temperature: 364
  technology: Li-poly
  Charging state: 0
  Capacity level: 4
MiuiBatteryService first usage time:
  mSetBatteryUsageTimeCount=56
"""
#: A box without a battery, which tells volts and degrees: http://ppmy.cn/news/1423084.html, its line breaks put back.
BOX_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Charge counter: 1000
  status: 4
  health: 2
  present: true
  level: 90
  scale: 100
  voltage: 13
  temperature: 26
  technology: Li-ion
"""
#: A OnePlus 8T with its maker's system, unplugged and told not to charge: https://github.com/VR-25/acc/issues/112.
ONEPLUS_8T_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Max charging current: 0
  Max charging voltage: 0
  Charge counter: 3124799
  status: 4
  health: 2
  present: true
  level: 89
  scale: 100
  voltage: 4218
  temperature: 324
  technology: Li-ion
  fastChargeStatus: false
"""
#: A OnePlus 7 with LineageOS 20 (Android 13), by a tool that prints the dump under a heading of its own, which is put
#: back: https://github.com/VR-25/acc/issues/195.
ONEPLUS_7_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: false
  Wireless powered: false
  Max charging current: 0
  Max charging voltage: 0
  Charge counter: 2849000
  status: 3
  health: 2
  present: true
  level: 77
  scale: 100
  voltage: 3985
  temperature: 294
  technology: Li-ion
"""
#: Google's Pixel C, a tablet (its codename is dragon), charging, which counts no charge:
#: https://github.com/google/syzkaller/issues/79.
PIXEL_C_BATTERY = """Current Battery Service state:
  AC powered: true
  USB powered: false
  Wireless powered: false
  Max charging current: 2400000
  Max charging voltage: 5000000
  Charge counter: 0
  status: 2
  health: 2
  present: true
  level: 19
  scale: 100
  voltage: 3764
  temperature: 275
  technology: Li-ion
"""
#: The whole system's memory of a phone that is not named: https://twblogs.net/a/5eea92170b72ce4a15809111.
MEMORY_WITH_PARTS = """Total RAM: 2,891,076K (status normal)
 Free RAM: 1,186,061K (  392,009K cached pss +   700,296K cached kernel +    93,756K free)
 Used RAM: 2,125,206K (1,859,958K used pss +   265,248K kernel)
 Lost RAM:    38,495K
     ZRAM:   259,464K physical used for   756,280K in swap (1,445,532K total swap)
   Tuning: 256 (large 512), oom   322,560K, restore limit    58,316K (high-end-gfx)
"""

# `dumpsys activity activities`: what is in front. Shortened to the lines that tell it and to some that do not.

#: A Samsung (its home screen is com.sec.android.app.launcher) with Android 7, its resumed activity by the form of that
#: version, as the next: https://github.com/liudongmiao/Brevent/issues/54
ACTIVITIES_SAMSUNG_7 = """ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)
Display #0 (activities from top to bottom):
  Stack #2:
    Task id #130
    * TaskRecord{2fbca80 #130 A=me.piebridge.brevent U=0 sz=1}
      affinity=me.piebridge.brevent
      realActivity=me.piebridge.brevent/.ui.BreventActivity
      Activities=[ActivityRecord{9f7aeb7 u0 me.piebridge.brevent/.ui.BreventActivity t130}]
    mResumedActivity: ActivityRecord{9f7aeb7 u0 me.piebridge.brevent/.ui.BreventActivity t130}
    mLastPausedActivity: ActivityRecord{1 u0 com.sec.android.app.launcher/.activities.LauncherActivity t129}
"""
#: A phone of Vivo's (com.bbk.launcher2 is its home screen) with Android 8:
#: https://github.com/zengjingfang/AndroidBox/issues/29.
ACTIVITIES_VIVO_8 = """ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)
Display #0 (activities from top to bottom):
  Stack #1:
    Task id #653
      TaskRecord{7ebd2b5 #653 A=com.xtc.watch U=0 sz=1}
      Intent { act=android.intent.action.MAIN cat=[android.intent.category.LAUNCHER] cmp=com.xtc.watch/.MainActivity }
        Hist #0: ActivityRecord{1e44eb8 u0 com.xtc.watch/.view.home.activity.XtcHomeActivity t653}
    Running activities (most recent first):
      TaskRecord{7ebd2b5 #653 A=com.xtc.watch U=0 sz=1}
        Run #0: ActivityRecord{1e44eb8 u0 com.xtc.watch/.view.home.activity.XtcHomeActivity t653}
    mResumedActivity: ActivityRecord{1e44eb8 u0 com.xtc.watch/.view.home.activity.XtcHomeActivity t653}
"""
#: A phone with Android 13 or 14, whose record has a stray brace: the comment of a public Java class, on Kuaishou
#: (com.smile.gifmaker); the brace in Android 14 too: https://github.com/openatx/uiautomator2/issues/952.
ACTIVITIES_14 = """ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)
Display #0 (activities from top to bottom):
  * Task{1 #6294 type=standard A=10178:com.smile.gifmaker U=0 visible=true}
    topResumedActivity=ActivityRecord{1a70f4a u0 com.smile.gifmaker/com.yxcorp.gifshow.HomeActivity} t6294}
    * Hist  #0: ActivityRecord{1a70f4a u0 com.smile.gifmaker/com.yxcorp.gifshow.HomeActivity} t6294}
  Resumed activities in task display areas (from top to bottom):
    Resumed: ActivityRecord{1a70f4a u0 com.smile.gifmaker/com.yxcorp.gifshow.HomeActivity} t6294}

  ResumedActivity: ActivityRecord{1a70f4a u0 com.smile.gifmaker/com.yxcorp.gifshow.HomeActivity} t6294}
"""
#: A tablet with Android 16, whose record's name is decimal, by the test of a public guard of devices, names shortened;
#: another task of the same maker's is not in front.
ACTIVITIES_16 = """ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)
Display #0 (activities from top to bottom):
    topResumedActivity=ActivityRecord{132248474 u0 com.wb/com.wb.MainActivity t323, isEmbedded=false}
  * Task{73c43ef #322 type=standard A=10327:com.wb.other U=0 visible=false visibleRequested=false}
    mLastPausedActivity: ActivityRecord{221224397 u0 com.wb.other/.MainActivity t322, isEmbedded=false}
  Resumed activities in task display areas (from top to bottom):
    Resumed: ActivityRecord{132248474 u0 com.wb/com.wb.MainActivity t323, isEmbedded=false}
  ResumedActivity: ActivityRecord{132248474 u0 com.wb/com.wb.MainActivity t323, isEmbedded=false}
ActivityTaskSupervisor state:
"""
#: A Xiaomi with a second screen on its back and a virtual one, which has the focus: the test of a public agent.
ACTIVITIES_XIAOMI_SCREENS = """Display #0 (activities from top to bottom):
  * Task{main #100 type=standard A=dev.continuum.chat visible=true}
    topResumedActivity=ActivityRecord{111 u0 dev.continuum.chat/dev.continuum.chat.MainActivity t100}
Display #29 (activities from top to bottom):
  * Task{vd #7726 type=standard A=com.taobao.taobao visible=true}
    topResumedActivity=ActivityRecord{222 u0 com.taobao.taobao/com.taobao.tao.TBMainActivity t7726}
  Resumed activities in task display areas (from top to bottom):
    Resumed: ActivityRecord{222 u0 com.taobao.taobao/com.taobao.tao.TBMainActivity t7726}
Display #1 (activities from top to bottom):
  * Task{sub #4 type=home A=com.xiaomi.subscreencenter visible=true}
  Resumed activities in task display areas (from top to bottom):
    Resumed: ActivityRecord{444 u0 com.xiaomi.subscreencenter/.SubScreenLauncher t4}
  ResumedActivity: ActivityRecord{222 u0 com.taobao.taobao/com.taobao.tao.TBMainActivity t7726}
ActivityTaskSupervisor state:
  Display: mDisplayId=0 (organized)
"""
#: What `powermetrics` printed on Macs, shortened to the lines around its powers. An M1 with macOS 12, of which two
#: samples: https://github.com/mlco2/codecarbon, tests/test_data/mock_powermetrics_log.txt
POWERMETRICS_M1 = """Machine model: MacBookAir10,1
OS version: 21G115
Boot arguments:\x20
Boot time: Fri Nov 10 09:43:28 2023



*** Sampled system activity (Fri Nov 10 12:37:08 2023 +0100) (104.51ms elapsed) ***


**** Processor usage ****

E-Cluster Power: 105 mW
E-Cluster HW active frequency: 1483 MHz
P-Cluster Power: 842 mW

System instructions per clock: 1.27411
ANE Power: 0 mW
DRAM Power: 220 mW
CPU Power: 947 mW
GPU Power: 153 mW
Package Power: 1473 mW


*** Sampled system activity (Fri Nov 10 12:37:08 2023 +0100) (104.81ms elapsed) ***


**** Processor usage ****

ANE Power: 0 mW
DRAM Power: 162 mW
CPU Power: 420 mW
GPU Power: 67 mW
Package Power: 773 mW
"""
#: An M1 Max with macOS 13, an M2 with macOS 12 whose first sample has no power, and an Intel with macOS 14:
#: https://github.com/joular/joularjx, src/test/resources/powermetrics-sonoma-m1max.txt, -monterey-m2, -sonoma-intel
POWERMETRICS_M1_MAX = """Machine model: MacBookPro18,4
OS version: 22G120

*** Sampled system activity (Mon Oct 23 16:51:12 2023 +0200) (1012.07ms elapsed) ***

*** Running tasks ***

Name                               ID     CPU ms/s  samp ms/s  User%  Deadlines (<2 ms, 2-5 ms)
WindowServer                       391    281.98    283.25     82.97  1.97    0.00

**** Processor usage ****

E-Cluster Online: 100%
CPU 0 frequency: 1527 MHz
System instructions per clock: 0.841601
CPU Power: 211 mW
GPU Power: 147 mW
ANE Power: 0 mW
Combined Power (CPU + GPU + ANE): 359 mW
"""
POWERMETRICS_M2 = """Machine model: Mac14,2
OS version: 21G72

*** Sampled system activity (Mon Oct 23 16:51:12 2023 +0200) (1012.07ms elapsed) ***

*** Running tasks ***

ALL_TASKS                          -2     1222.65   1222.65    65.70  1161.97 15.81

*** Sampled system activity (Tue Nov 28 11:28:55 2023 +0100) (1002.80ms elapsed) ***


**** Processor usage ****

E-Cluster Power: 6 mW
P-Cluster Power: 4 mW
ANE Power: 0 mW
DRAM Power: 19 mW
DCS Power: 36 mW
CPU Power: 10 mW
GPU Power: 0 mW
Package Power: 25 mW
"""
POWERMETRICS_INTEL = """Machine model: MacBookPro15,1
SMC version: Unknown

*** Sampled system activity (Mon Jan 15 20:18:34 2024 +0100) (1002.80ms elapsed) ***


**** Processor usage ****

Intel energy model derived package power (CPUs+GT+SA): 4.87W

LLC flushed residency: 45.7%

*** Sampled system activity (Mon Jan 15 20:18:35 2024 +0100) (1004.07ms elapsed) ***

Intel energy model derived package power (CPUs+GT+SA): 3.43W

*** Sampled system activity (Mon Jan 15 20:18:36 2024 +0100) (1003.46ms elapsed) ***

Intel energy model derived package power (CPUs+GT+SA): 3.38W
"""
